"""`guardian emit`: predictions and labels from tables, or events as they are, into the log."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import typer

from guardian.engine.emit import EMIT_BATCH
from guardian.entrypoints.cli.output import say
from guardian.entrypoints.cli.session import instant, session
from guardian.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from guardian.adapters.tables.table import Table
    from guardian.catalog.model_file import ModelFile
    from guardian.engine.emit import Intake
    from guardian.pipeline.tabular import Batch, Rejects, Timed

REJECTS_SHOWN_MAX: Final = 10
BATCH_MAX: Final = 50_000  # Events that are held at once, and must be sent again after a crash.
LINE_BYTES_MAX: Final = 1 << 26  # Of --events: a whole batch may stand on one line.


class Target(StrEnum):
    """Where events go."""

    INBOX = "inbox"
    KAFKA = "kafka"


class Form(StrEnum):
    """How events lie in a topic."""

    JSON = "json"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Events to be sent, and how many of them there are, where that is known beforehand."""

    events: Iterator[bytes]
    total: int | None


def emit(  # noqa: PLR0913 - a command's options
    model: str | None = typer.Option(None, "--model", help="The model whose tables these are; its file is in policies/."),
    predictions: Path | None = typer.Option(None, help="Parquet, CSV or JSON lines, by the model file's spec.columns."),
    labels: Path | None = typer.Option(None, help="The same of labels; merged with the predictions by time."),
    events: str | None = typer.Option(None, help="CloudEvents as JSON lines, or batches of them; - for stdin."),
    as_of: str | None = typer.Option(None, "--as-of", metavar="TIME", help="Say that they are received at this time."),
    batch: int | None = typer.Option(
        None, min=1, max=BATCH_MAX, help="Events a row of the inbox, or at once to Kafka; default 5000, of Arrow 50000."
    ),
    to: Target = typer.Option(Target.INBOX, "--to", help="The inbox of this home, or the topic of events in Kafka."),
    format: Form = typer.Option(Form.JSON, "--format", help="Of tables to Kafka: an event a record, or many in an Arrow stream."),
) -> None:
    """Send predictions and labels from files. They are counted by `guardian up`, those in Kafka by `guardian worker`."""
    from guardian.engine.emit import emit as send
    from guardian.pipeline.tabular import Rejects

    if format is Form.ARROW and (to is Target.INBOX or events is not None):
        raise UsageError("--format arrow is for tables to Kafka", hint="give --to kafka and tables, or leave it out")
    rejects = Rejects()
    received_at = instant(as_of, "--as-of")
    outgoing = _outgoing(model, (predictions, labels), events, rejects)
    size = batch or (BATCH_MAX if format is Form.ARROW else EMIT_BATCH)
    with _log(to, format, received_at) as log, _progress(outgoing.total) as advance:
        report = send(log, outgoing.events, now=_clock(received_at), progress=advance, batch=size)
    for reject in rejects.first[:REJECTS_SHOWN_MAX]:
        say(f"{reject.table} row {reject.row}: {reject.reason}")
    if rejects.count > REJECTS_SHOWN_MAX:
        say(f".. and {rejects.count - REJECTS_SHOWN_MAX} more rows")
    say(f"{report.events} events sent, {rejects.count} rows rejected")


def _outgoing(model: str | None, tables: tuple[Path | None, Path | None], events: str | None, rejects: Rejects) -> Outgoing:
    if events is not None:
        if model or any(tables):
            raise UsageError("--events goes alone", hint="events name their models; send tables by a call of their own")
        return Outgoing(_from_lines(events), None)
    if not model or not any(tables):
        hint = "give --model with --predictions or --labels, or --events"
        raise UsageError("there is nothing to send", hint=hint)
    return _from_tables(_model_file(model), tables, rejects)


def _model_file(name: str) -> ModelFile:
    from guardian.bootstrap import read_files
    from guardian.errors import NotFoundError
    from guardian.files.document import choice_hint

    models = read_files(session().home).models
    if name not in models:
        hint = choice_hint(name, sorted(models), none="put a model file into policies/")
        raise NotFoundError(f"there is no model {name} in {session().home.policies}", hint=hint)
    return models[name]


def _from_tables(model: ModelFile, paths: tuple[Path | None, Path | None], rejects: Rejects) -> Outgoing:
    from guardian.adapters.tables.table import open_table
    from guardian.pipeline import tabular

    kinds = (
        (tabular.prediction_columns(model), tabular.predictions),
        (tabular.label_columns(model), tabular.labels),
    )
    streams, sizes = [], []
    for path, (names, make) in zip(paths, kinds, strict=True):
        table = open_table(path) if path else None
        streams.append(_in_order(table, names, model, make, rejects) if table else iter(()))
        sizes.append(table.rows if table else 0)
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return Outgoing((timed.event for timed in tabular.merged(*streams)), total)


def _in_order(
    table: Table,
    names: tuple[str, ...],
    model: ModelFile,
    make: Callable[[Iterable[Batch], ModelFile, Rejects], Iterator[Timed]],
    rejects: Rejects,
) -> Iterator[Timed]:
    """Return a table's events in order of time; only a table that is not in that order is held whole."""
    from guardian.pipeline.tabular import by_time, in_time_order

    batches = table.batches(names)  # Before anything is read: it checks the names.
    time = model.spec.columns.time
    ordered = in_time_order(table.batches((time,)), time)
    found = make(batches, model, rejects)
    return found if ordered else by_time(found)


def _from_lines(source: str) -> Iterator[bytes]:
    from guardian.errors import UnreachableError
    from guardian.events.split import split

    if source == "-":
        yield from split(_lines(sys.stdin.buffer, "stdin"))
        return
    try:
        with Path(source).open("rb") as file:
            yield from split(_lines(file, source))
    except OSError as error:
        raise UnreachableError(f"{source} cannot be read: {error.strerror}", hint="mend the path or its permissions") from error


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    from guardian.errors import UnreachableError

    for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), 1):
        if len(line) > LINE_BYTES_MAX:
            what = f"line {number} of {name} has more than {LINE_BYTES_MAX} bytes"
            raise UnreachableError(what, hint="put each event on a line of its own")
        yield line


@contextmanager
def _log(to: Target, form: Form, received_at: int | None) -> Iterator[Intake]:
    from guardian.bootstrap import open_log
    from guardian.config import Settings
    from guardian.entrypoints.cli.broker import open_kafka_log

    home = session().home
    if to is Target.INBOX:
        yield open_log(home)
        return
    with open_kafka_log(Settings.load(home), received_at, in_bulk=form is Form.ARROW) as log:
        yield log


def _clock(received_at: int | None) -> Callable[[], int]:
    from guardian.adapters.clock import wall_clock

    return wall_clock if received_at is None else lambda: received_at


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr where a person looks on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending", total=total)
        yield lambda events: bar.advance(task, events)
