"""`guardian help TOPIC`: what belongs to no single command."""

from __future__ import annotations

import typer

from guardian.errors import UsageError

TOPICS = {
    "exit-codes": """\
0    fine
1    findings: a file with mistakes, a failed case, a broken audit chain
2    the command was called wrongly
3    policy check --fail-on warn: there are warnings and no errors
4    something could not be reached or read, so nothing is said about it
70   an error in guardian itself; GUARDIAN_DEBUG=1 shows where
130  interrupted
""",
    "environment": """\
GUARDIAN_HOME              the home directory, as --home
GUARDIAN_BATCH_EVENTS      settings of guardian.toml; the environment wins
GUARDIAN_POLL
GUARDIAN_CHECKPOINT_EVERY
GUARDIAN_TICK_EVERY
GUARDIAN_DEBUG             1: show the traceback of errors
GUARDIAN_FAILPOINTS        for tests of recovery: where to die, as NAME:CHANCE or NAME:CHANCE@VISIT, with commas between
NO_COLOR                   no colour, as on a pipe
""",
    "output": """\
-o table   aligned columns, cut to fit; for people
-o json    one array of whole objects
-o jsonl   one whole object a line, as they come
alerts follow has no json: what goes on is no array. policy check has --format pretty, json or github instead of -o.
Data goes to stdout, words to stderr. Instants are RFC 3339 in UTC.
""",
}


def help(  # noqa: A001  # the command's own name
    topic: str = typer.Argument("", help="exit-codes, environment or output."),
) -> None:
    """Explain a topic."""
    if topic not in TOPICS:
        raise UsageError(f"there is no topic {topic!r}" if topic else "name a topic", hint=f"topics are {', '.join(TOPICS)}")
    typer.echo(TOPICS[topic], nl=False)
