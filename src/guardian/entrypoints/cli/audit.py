"""`guardian audit`: read, verify, export and sign the audit log.

Data goes to stdout, words to stderr. `verify` exits with 0 when nothing is wrong, 1 with findings, 4 when it
could not read.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from guardian.entrypoints.cli.output import emit, ended_by_reader, say
from guardian.entrypoints.cli.session import Format, Output, instant, session
from guardian.errors import NotFoundError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.audit.leaf import Sealed
    from guardian.audit.report import Report
    from guardian.audit.signing import PublicKey
    from guardian.engine.audit_port import AuditLog

LIST_DEFAULT: Final = 100
LIST_MAX: Final = 1_000_000
COLUMNS: Final = ("stream", "seq", "id", "kind", "recorded_at", "model")

app = typer.Typer(help="Read, verify, export and sign the audit log.", no_args_is_help=True)


OutOption = Annotated[Path | None, typer.Option("--out", help="File to write, which must not be there yet; stdout without.")]


@app.command("list")
def list_records(  # noqa: PLR0913  # one argument an option
    stream: Annotated[str | None, typer.Option(help="Only this stream, e.g. decisions/MODEL.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. verdicts.")] = None,
    model: Annotated[str | None, typer.Option(help="Only records about this model.")] = None,
    since: Annotated[str | None, typer.Option(help="Recorded at or after this instant or day.")] = None,
    until: Annotated[str | None, typer.Option(help="Recorded before this instant or day.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most so many records.")] = LIST_DEFAULT,
    output: Output = None,
) -> None:
    """List records by stream and sequence."""
    start, end = instant(since, "--since"), instant(until, "--until")
    found = (
        row
        for row in _log().rows(stream)
        if (kind is None or row.kind == kind) and (model is None or row.model == model) and _between(row.recorded_at, start, end)
    )
    emit((_columns(row) for row in islice(found, limit)), COLUMNS, output)
    if next(found, None) is not None:
        _say(f"There are more than {limit}: narrow the filters or raise --limit.")


@app.command()
def show(
    record: Annotated[str, typer.Argument(metavar="ID|STREAM/SEQ", help="A record's id, or its place.")],
) -> None:
    """Print one record, whole."""
    from guardian.audit.chain import parse_record
    from guardian.audit.leaf import leaf_hash

    row = _find(_log(), record)
    try:
        said = parse_record(row.body_bytes)
    except (ValueError, TypeError, RecursionError) as error:
        raise UnreachableError(f"the bytes of {record} cannot be read: {error}", hint="run guardian audit verify") from error
    typer.echo(json.dumps({**said, "hash": row.hash}, indent=2))
    if leaf_hash(row.body_bytes).hex() != row.hash:
        _say("The bytes do not have this hash: run guardian audit verify.")


@app.command()
def verify(
    export: Annotated[Path | None, typer.Option(help="Verify this export instead of the database.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint file that was kept elsewhere.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="The log's public key, from a source that you trust.")] = None,
    output: Output = None,
) -> None:
    """Check that the log is what was written: chain, columns, heads, coverage and checkpoints."""
    from guardian.adapters.keys.files import read_public_key

    kept = _read_checkpoint(checkpoint) if checkpoint else None
    key = read_public_key(public_key) if public_key else None
    report = _verify_export(export, kept, key) if export else _verify_database(kept, key)
    _print_report(report, output)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def export(out: OutOption = None) -> None:
    """Write the whole log as JSON lines that can be verified alone, on another machine."""
    from guardian.adapters.clock import wall_clock
    from guardian.audit.export import export_lines

    log = _log()
    with log.snapshot(), _sink(out) as file:
        lines = export_lines(log.log_id(), wall_clock(), checkpoints=log.checkpoints(), rows=log.rows(), heads=log.heads())
        count = 0
        for count, line in enumerate(lines, 1):  # noqa: B007  # the last number is said below
            file.write(line)
    _say(f"Exported {count} lines{f' to {out}' if out else ''}.")


@app.command()
def checkpoint(out: OutOption = None) -> None:
    """Verify the log, sign the heads of all streams, and write the checkpoint: keep it where the database is not."""
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.keys.files import ensure_public_key, read_signing_key
    from guardian.audit.signing import log_name
    from guardian.engine.audit_signing import CheckpointRefusedError, take_checkpoint

    home = session().home
    log = _log()
    key = read_signing_key(home.private_key, log_name(log.log_id()))
    ensure_public_key(home.public_key, key)
    try:
        signed = take_checkpoint(log, key, wall_clock())
    except CheckpointRefusedError as error:
        _say(str(error))
        raise typer.Exit(1) from error
    with _sink(out) as file:
        file.write(signed.file)
    _say(f"Signed {signed.records} records in {len(signed.checkpoints)} streams{f', in {out}' if out else ''}.")


def _verify_export(path: Path, kept: bytes | None, key: PublicKey | None) -> Report:
    from guardian.audit.export import LINE_BYTES_MAX, verify_export

    with _reading(path) as file:
        return verify_export(iter(lambda: file.readline(LINE_BYTES_MAX), b""), checkpoint=kept, public_key=key)


def _verify_database(kept: bytes | None, key: PublicKey | None) -> Report:
    from guardian.adapters.keys.files import read_public_key
    from guardian.audit.verify import verify as verify_log

    home = session().home
    if key is None and home.public_key.exists():
        key = read_public_key(home.public_key)
        _say(f"The public key is {home.public_key}: whoever can write there can forge it; --public-key names another.")
    log = _log()
    with log.snapshot():
        return verify_log(
            log.rows(),
            heads=log.heads(),
            checkpoint=kept,
            public_key=key,
            stored=log.checkpoints(),
            log_id=log.log_id(),
        )


def _print_report(report: Report, output: Format | None) -> None:
    findings: list[dict[str, Any]] = [
        {"code": str(f.code), "stream": f.stream, "seq": f.seq, "what": f.what, "means": f.means} for f in report.findings
    ]
    with ended_by_reader():
        match output or session().output or Format.TABLE:
            case Format.JSON:
                typer.echo(json.dumps(_summary(report, findings), indent=2))
            case Format.JSONL:
                for finding in findings:
                    typer.echo(json.dumps(finding))
            case Format.TABLE:
                for found in report.findings:
                    typer.echo(_plain(str(found)))
    for remark in report.remarks:
        _say(remark)
    read = f"{report.records} records in {report.streams} streams, {report.checkpoints} checkpoints"
    if report.first is None:
        _say(f"Verified {read}: nothing is wrong.")
        return
    first = report.first
    place = f" First record in doubt: {first.stream}/{first.seq}." if first.seq is not None else ""
    _say(f"Read {read}: {len(report.findings) + report.unlisted} findings.{place}")


def _summary(report: Report, findings: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "records": report.records,
        "streams": report.streams,
        "checkpoints": report.checkpoints,
        "findings": findings,
        "unlisted": report.unlisted,
        "covered": [{"stream": c.stream, "start": c.start, "next": c.next} for c in report.covered],
        "remarks": list(report.remarks),
    }


def _columns(row: Sealed) -> dict[str, Any]:
    from guardian.audit.chain import rfc3339

    values = (row.stream, row.seq, row.id, row.kind, rfc3339(row.recorded_at), row.model)
    return dict(zip(COLUMNS, values, strict=True)) | {"prev": row.prev, "hash": row.hash}


def _between(at: object, start: int | None, end: int | None) -> bool:
    """Return whether a record falls in [start, end); one whose column somebody spoilt is shown, not hidden."""
    if not isinstance(at, int):
        return True
    return (start is None or at >= start) and (end is None or at < end)


def _find(log: AuditLog, record: str) -> Sealed:
    row = log.find(record)
    stream, cut, seq = record.rpartition("/")
    if row is None and cut and seq.isascii() and seq.isdigit() and len(seq) <= 16:  # 2^53 has 16 digits
        row = next(iter(log.rows(stream, int(seq))), None)
        row = row if row is not None and row.seq == int(seq) else None
    if row is None:
        raise NotFoundError(f"there is no record {record!r}", hint="guardian audit list shows ids and places")
    return row


def _log() -> AuditLog:
    from guardian.bootstrap import open_audit_log

    return open_audit_log(session().home)


def _read_checkpoint(path: Path) -> bytes:
    from guardian.audit.checkpoint import CHECKPOINT_BYTES_MAX

    with _reading(path) as file:
        return file.read(CHECKPOINT_BYTES_MAX + 1)


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", hint="name a readable file") from error


@contextmanager
def _sink(path: Path | None) -> Iterator[IO[bytes]]:
    """Give a new file, gone again when writing it fails; or stdout."""
    if path is None:
        with ended_by_reader():
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    try:
        file = path.open("xb")
    except OSError as error:
        raise UnreachableError(
            f"{path} cannot be written: {error.strerror}", hint="name a new file in a directory that you can write"
        ) from error
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _plain(text: str) -> str:
    """Escape what a terminal would obey or hide: somebody else may have written it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _say(text: str) -> None:
    say(_plain(text))
