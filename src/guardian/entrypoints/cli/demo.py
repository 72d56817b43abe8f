"""`guardian demo`: two real models, from an empty directory to a verified audit log, and the story of what was found."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from guardian.entrypoints.cli.emit import Target
from guardian.entrypoints.cli.output import say
from guardian.entrypoints.cli.session import begin
from guardian.errors import GuardianError, UnreachableError, UsageError

if TYPE_CHECKING:
    from guardian.adapters.sql.reader import Reader
    from guardian.config import Home

MODELS: Final = {"employment-ma": "employment", "car-loan": "car_loan"}
TITLES: Final = {
    "employment-ma": "employment-ma: is a person employed? US Census, Massachusetts; the quiet stream",
    "car-loan": "car-loan: will a loan be repaid? Synthetic loans with a planted shift on 2019-03-31; the loud stream",
}
PROGRAM: Final = (sys.executable, "-c", "from guardian.entrypoints.cli import main; raise SystemExit(main())")
TOPIC_PREFIX: Final = "guardian-demo"
PARTITIONS: Final = 4
NOTE: Final = (
    "Rows, scores and labels come from the data files of nannyml 0.13.1 (Apache-2.0); event and label times were made with "
    "a fixed seed (guardian/demo_data/README.md)."
)


class BrokenLogError(GuardianError):
    """The audit log that was just written does not verify. Exit code 1."""

    code = "audit.broken"
    exit_code = 1


def demo(
    directory: Annotated[Path, typer.Option("--dir", help="The directory to make.")] = Path("guardian-demo"),
    force: Annotated[bool, typer.Option("--force", help="Delete the directory first if guardian made it.")] = False,
    to: Annotated[
        Target, typer.Option("--to", help="Through the embedded engine, or through Kafka and a worker.")
    ] = Target.INBOX,
) -> None:
    """Replay two real models' events, judge them, verify the audit log, and tell what was found.

    With --to kafka the settings of the environment say where the broker is, and which empty PostgreSQL database to use, if any;
    the topics are new ones, whose names guardian.toml in the directory says.
    """
    home = begin(str(directory), None).home
    _clear(home, force=force)
    from guardian.adapters.home.files import copy_files, packed_data, packed_policies
    from guardian.bootstrap import make_home, open_reader

    make_home(home)
    copy_files(sorted(packed_policies().glob("*.yaml")), home.policies)
    copy_files(sorted(packed_data().glob("*")), home.data)
    if to is Target.KAFKA:
        _through_kafka(home)
    else:
        _embedded(home)
    records = _verify(home)
    reader = open_reader(home)
    for model, title in TITLES.items():
        _print("")
        _print(title)
        _tell(reader, model)
    _print("")
    _print(f"The audit log: {records:,} records, every one verified, signed with {home.private_key}.")
    _print("")
    _print("Look further:")
    request = next((r["id"][:8] for r in _requests(reader)), "ID")
    for line in ("get alerts", f"retrain approve {request}", "audit verify"):
        _print(f"  {_program()} --home {home.root} {line}")
    _print("")
    _print(NOTE)


def _embedded(home: Home) -> None:
    """Send and count at the same time, in the embedded engine."""
    from guardian.bootstrap import open_service

    sender = _Sender(home, Target.INBOX)
    sender.start()
    open_service(home, lambda line: say(f"  {line}")).run(until_idle=True, finalise=True, more=sender.is_alive)
    sender.check()


def _through_kafka(home: Home) -> None:
    """Make topics, send everything to them, and run a worker until nothing is left to do."""
    from guardian.config import Settings
    from guardian.engine.topic_check import plan
    from guardian.entrypoints.cli.broker import look_at_topics, make_topics

    _check_new(home)
    prefix = f"{TOPIC_PREFIX}-{secrets.token_hex(4)}"  # Nobody's topics: not those of an earlier demo either.
    with home.settings.open("a", encoding="utf-8") as file:
        file.write(f'\ntopic_prefix = "{prefix}"\ngroup = "{prefix}"\n')
    settings = Settings.load(home)
    cluster, found = look_at_topics(settings, 0)
    make_topics(settings, plan(cluster, found, PARTITIONS, None))
    say(f"  topics {settings.topic_prefix}.* are made at {settings.broker}")
    sender = _Sender(home, Target.KAFKA)
    sender.run()
    sender.check()
    worker = [*PROGRAM, "--home", str(home.root), "worker", "--until-idle", "--finalise"]
    if subprocess.run(worker, check=False).returncode:  # noqa: S603 - our own command
        raise UnreachableError("the worker did not come to an end", hint="see its message above, and guardian doctor")


def _check_new(home: Home) -> None:
    """Refuse a database that has a history: the story would tell of both."""
    from guardian.bootstrap import open_audit_log

    if list(open_audit_log(home).heads()):
        raise UsageError("the database holds a log already", hint="give GUARDIAN_DATABASE an empty one, or none")


def _program() -> str:
    """Return what to type for guardian: its name, or its path where that is not on the PATH."""
    return "guardian" if shutil.which("guardian") else os.path.relpath(sys.argv[0])


def _clear(home: Home, *, force: bool) -> None:
    if not os.path.lexists(home.root):
        return
    if home.root.is_symlink() or not home.root.is_dir():
        raise UsageError(f"{home.root} is no directory", hint="give another --dir")
    if not force:
        raise UsageError(f"{home.root} is there already", hint="give another --dir, or --force to delete it first")
    if not home.database.exists() and any(home.root.iterdir()):
        raise UsageError(f"{home.root} was not made by guardian", hint="give another --dir")
    shutil.rmtree(home.root)


class _Sender(threading.Thread):
    """Sends both models' events by `guardian emit`, in a process of its own, while the engine counts them."""

    def __init__(self, home: Home, to: Target) -> None:
        super().__init__(daemon=True)
        self._home = home
        self._to = to
        self._failed = ""

    def run(self) -> None:
        """Send one model after the other."""
        for model, stem in MODELS.items():
            say(f"  sending {model}'s events")
            tables = [f"--{kind}={self._home.data / f'{stem}_{kind}.parquet'}" for kind in ("predictions", "labels")]
            command = [*PROGRAM, "--home", str(self._home.root), "emit", "--to", self._to.value, "--model", model, *tables]
            if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command and paths
                self._failed = model
                return

    def check(self) -> None:
        """Raise UnreachableError where something was not sent."""
        if self._failed:
            raise UnreachableError(f"{self._failed}'s events were not sent", hint="see the message of guardian emit above")


def _verify(home: Home) -> int:
    from guardian.adapters.keys.files import read_public_key
    from guardian.audit.verify import verify
    from guardian.bootstrap import open_audit_log

    log = open_audit_log(home)
    with log.snapshot():
        report = verify(log.rows(), heads=log.heads(), public_key=read_public_key(home.public_key))
    if not report.ok:
        hint = f"run {_program()} --home {home.root} audit verify"
        raise BrokenLogError(f"the audit log is not what was written: {report.first}", hint=hint)
    return report.records


def _tell(reader: Reader, model: str) -> None:
    from guardian.adapters.sql.reader import Filter
    from guardian.entrypoints.cli.story import tell

    alerts = list(reader.alerts(Filter(model=model)))
    for line in tell(model, reader.verdicts(Filter(model=model)), alerts, list(reader.retraining(Filter(model=model)))):
        _print(line)


def _requests(reader: Reader) -> list[dict[str, str]]:
    from guardian.adapters.sql.reader import Filter

    return list(reader.retraining(Filter(state="requested")))


def _print(line: str) -> None:
    print(line)  # noqa: T201 - the demo's story is its data
