"""`guardian alerts`: what was announced, in order, as it comes."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import typer

from guardian.entrypoints.cli.output import cell, ended_by_reader, reach
from guardian.entrypoints.cli.session import Format, Output, session
from guardian.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.engine.outbox import OutboxRow

TOPIC: Final = "alerts"
POLL_S: Final = 0.5  # Well below what a person notices, and nothing to the database.

app = typer.Typer(help="Follow alerts as they come.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def follow(
    from_sequence: int = typer.Option(1, "--from-sequence", min=1, metavar="N", help="The first sequence to print."),
    once: bool = typer.Option(False, "--once", help="Stop after what is there now."),
    output: Output = None,
) -> None:
    """Print alerts in order, and go on as new ones come; resume with --from-sequence. With -o jsonl each line is a CloudEvent."""
    from guardian.bootstrap import open_store

    chosen = output or session().output or Format.TABLE
    if chosen is Format.JSON:
        raise UsageError("what goes on is no JSON array", hint="use -o jsonl")
    store = open_store(session().home)
    with _until_signalled() as stopped, ended_by_reader():
        while True:
            rows = store.outbox(TOPIC, from_sequence - 1)
            for row in rows:
                sys.stdout.write(line_of(row, chosen) + "\n")
                from_sequence = row.seq + 1
            sys.stdout.flush()
            if stopped.is_set() or (once and not rows):
                break
            if not rows:
                stopped.wait(POLL_S)


def line_of(row: OutboxRow, output: Format) -> str:
    """Return how one announcement is printed: the CloudEvent itself, or a line for people."""
    if output is Format.JSONL:
        return row.value.decode()
    import msgspec

    event: dict[str, Any] = msgspec.json.decode(row.value)
    names = ("transition", "state", "severity", "model", "version", "rule", "subject", "value", "threshold", "summary")
    said = (cell(reach(event["data"], name)) for name in names)
    return "  ".join([f"{row.seq:>6}", cell(event["time"]), *filter(None, said)])


@contextmanager
def _until_signalled() -> Iterator[Event]:
    # SIGINT and SIGTERM end the loop between two lines, so that the last line is whole and the exit code is 0.
    stopped = Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
