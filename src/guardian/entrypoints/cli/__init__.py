"""The command line: `guardian`.

Commands are modules of this package, imported when they are called or asked for help; listing them imports nothing. A module
gives `app` (a typer.Typer) or a function of its command's name; it reads the global options through `session.session()`.
Data goes to stdout, words to stderr.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, ClassVar, Final, NamedTuple

os.environ.setdefault("TYPER_USE_RICH", "0")  # Plain help: rich would double the start-up time.

import typer
from typer.core import TyperGroup

from guardian.entrypoints.cli.session import DEBUG, Output, begin
from guardian.errors import GuardianError, InvalidFileError

FINE: Final = 0
BUG: Final = 70  # EX_SOFTWARE: an error that nobody foresaw.
INTERRUPTED: Final = 130

COMPLETION: Final = ("install_completion", "show_completion")
EPILOG: Final = "Exit codes and environment variables: guardian help exit-codes, guardian help environment."


class Command(NamedTuple):
    """Where a command is, and the line that lists it."""

    module: str
    help: str


COMMANDS: Final = {
    "init": Command("init", "Make a home directory: settings, database, signing key; --examples adds policies."),
    "demo": Command("demo", "Make a home directory with real data, run it, and show what was found."),
    "up": Command("up", "Run the embedded engine."),
    "worker": Command("worker", "Run a worker of a fleet on Kafka."),
    "emit": Command("emit", "Send predictions and labels from files."),
    "reference": Command("reference", "Build and show the reference that live data are compared with."),
    "get": Command("get", "Print models, windows, measurements, verdicts, alerts, audit records and more."),
    "policy": Command("policy", "Check and test policy files."),
    "schema": Command("schema", "Print the JSON Schema of files and events, and the AsyncAPI document of all topics."),
    "alerts": Command("alerts", "Follow alerts as they come."),
    "retrain": Command("retrain", "List, approve, reject and complete retraining requests."),
    "audit": Command("audit", "List, show, verify, export and sign the audit log."),
    "replay": Command("replay", "Judge a recorded verdict again from its evidence."),
    "doctor": Command("doctor", "Look whether everything that guardian needs is there, and say what to do where it is not."),
    "topics": Command("topics", "Make and check the topics of Kafka, and resume halted partitions."),
    "db": Command("db", "Upgrade and check the database's schema."),
    "help": Command("help_topics", "Explain exit codes, environment variables and output formats."),
}

POLICY_COMMANDS: Final = {
    "check": Command("policy_check", "Check policy and model files, with every mistake and its line."),
    "test": Command("policy_test", "Run the cases of policies."),
}


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is called."""

    table: ClassVar[dict[str, Command]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = dict.fromkeys(self.table)  # type: ignore[assignment]  # names only: did-you-mean looks them up

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; None when there is none of that name."""
        return load(cmd_name, self.table[cmd_name]) if cmd_name in self.table else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table: nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in self.table.items()])


class RootGroup(LazyGroup):
    """The commands of `guardian`."""

    table = COMMANDS

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; `policy` is a group of its own."""
        if cmd_name == "policy":
            return group(cmd_name, PolicyGroup, COMMANDS[cmd_name].help)
        return super().get_command(ctx, cmd_name)


class PolicyGroup(LazyGroup):
    """The commands of `guardian policy`."""

    table = POLICY_COMMANDS


def load(name: str, command: Command) -> Any:
    """Import a command's module and return its command under `name`."""
    module = import_module(f"{__name__}.{command.module}")
    app = getattr(module, "app", None)
    if not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(name)(getattr(module, name.replace("-", "_")))
    loaded = typer.main.get_command(app)
    loaded.name = name
    loaded.params = [option for option in loaded.params if option.name not in COMPLETION]  # The root has them.
    return loaded


def group(name: str, cls: type[TyperGroup], help: str) -> Any:  # typer's own word
    """Return an empty group whose class knows its commands."""
    app = typer.Typer(name=name, cls=cls, help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    app.callback()(_nothing)
    return typer.main.get_command(app)


def _nothing() -> None:
    """Make typer build a group even where it would build a single command."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("guardian-ml"))  # noqa: T201
        raise typer.Exit


app = typer.Typer(
    name="guardian",
    cls=RootGroup,
    help="Watches machine-learning models in production, judges them against policy files, and keeps the proof.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    home: str = typer.Option(".", "--home", envvar="GUARDIAN_HOME", metavar="DIR", help="The home directory."),
    output: Output = None,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
) -> None:
    begin(home, output)


def main(argv: list[str] | None = None) -> int:
    """Run `guardian` and return its exit code; `argv` without the program's name, by default the process's own."""
    command = typer.main.get_command(app)
    try:
        command.main(args=argv, prog_name="guardian")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FINE
    except KeyboardInterrupt:
        return INTERRUPTED
    except GuardianError as error:
        return _failed(error, error.exit_code, lines_of(error))
    except Exception as error:
        bug = f"internal: {type(error).__name__}: {error} (hint: report it, with what {DEBUG}=1 prints)"
        return _failed(error, BUG, [bug])
    return FINE


def lines_of(error: GuardianError) -> list[str]:
    """Return what is said of an error: one line, or one for each mistake of a file."""
    return [str(mistake) for mistake in error.mistakes] if isinstance(error, InvalidFileError) else [str(error)]


def _failed(error: Exception, code: int, lines: list[str]) -> int:
    if os.environ.get(DEBUG) == "1":
        raise error
    for line in lines:
        print(" ".join(line.splitlines()), file=sys.stderr)  # noqa: T201
    return code
