"""The audit log as one file of JSON lines, and its verification alone, with nothing else at hand.

    {"exported_at":"2026-03-01T00:00:00.000Z","format":"guardian-audit-export","log_id":"4f1c","v":1}
    {"checkpoint":{"at":..,"note":"..","origin":"..","root":"..","size":..}}    one a stored checkpoint
    {"hash":"<64 hex>","record":<the record's bytes, verbatim>}                 one a record, by (stream, seq)
    {"head":{"hash":"..","size":..,"stream":".."}}                              one a stream
    {"end":{"records":..,"sha256":"<of every byte above>"}}

Checkpoints stand before the records, so that one pass can compare the roots while it reads. Record bytes are
sliced out as they stand, never read and written again: what is hashed is what was sealed. The last line is
there to notice a damaged or cut file; it proves nothing against somebody who means to deceive, which is what
chain and checkpoints are for.

Takes and gives lines of bytes. Never: touches a file. Reading needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from guardian.audit.chain import EPOCH, parse_record, rfc3339
from guardian.audit.leaf import FIRST_PREV, RECORD_BYTES_MAX, Head, Sealed, StoredCheckpoint, leaf_hash
from guardian.audit.report import Finding, Flaw
from guardian.audit.verify import verify
from guardian.errors import GuardianError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from guardian.audit.report import Report
    from guardian.audit.signing import PublicKey

FORMAT: Final = "guardian-audit-export"
FORMAT_VERSION: Final = 1
LINE_BYTES_MAX: Final = RECORD_BYTES_MAX + (1 << 20)  # A reader of lines may stop at this; no export has longer ones.

_HASH_LENGTH: Final = 64
_STRING: Final = frozenset({str})
_texts: Final = itemgetter("stream", "id", "kind", "model", "recorded_at", "prev")
_OPEN: Final = b'{"hash":"'
_MIDDLE: Final = b'","record":'
_HASH_END: Final = len(_OPEN) + _HASH_LENGTH
_RECORD_START: Final = _HASH_END + len(_MIDDLE)
_CLOSE: Final = b"}\n"


class ExportRefusedError(GuardianError):
    """The log holds something that an export cannot carry verbatim."""

    code = "audit.export.refused"


class ExportUnreadableError(UnreachableError):
    """A file is no export of an audit log. Exit code 4."""

    code = "audit.export.unreadable"


def export_lines(
    log_id: str,
    exported_at: int,
    *,
    checkpoints: Iterable[StoredCheckpoint],
    rows: Iterable[Sealed],
    heads: Iterable[Head],
) -> Iterator[bytes]:
    """Yield the lines of an export; rows by (stream, seq). Raises ExportRefusedError at a record that fits no line."""
    digest = hashlib.sha256()
    records = 0
    for line in _body(log_id, exported_at, checkpoints, rows, heads):
        digest.update(line)
        records += line.startswith(_OPEN)
        yield line
    yield _end(records, digest.hexdigest())


def verify_export(lines: Iterable[bytes], *, checkpoint: bytes | None = None, public_key: PublicKey | None = None) -> Report:
    """Verify an export alone. Raises ExportUnreadableError when its first line is not that of an export."""
    reader = ExportReader(lines)
    report = verify(
        reader.records(),
        heads=reader.heads(),
        checkpoint=checkpoint,
        public_key=public_key,
        stored=reader.checkpoints(),
        log_id=reader.log_id,
    )
    return replace(report, findings=(*report.findings, *reader.finish()))


class ExportReader:
    """An export, read once from front to back: `checkpoints`, `records`, `heads`, `finish`."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Read the first line. Raises ExportUnreadableError."""
        self._lines = iter(lines)
        self._digest = hashlib.sha256()
        self._number = 0
        self._records = 0
        self._faults: list[Finding] = []
        self._line = b""
        self._place = ("", 0, FIRST_PREV)
        self._next()
        said = _said(self._line)
        if said.get("format") != FORMAT or said.get("v") != FORMAT_VERSION or type(said.get("log_id")) is not str:
            raise ExportUnreadableError(
                "the first line is not that of an audit export", hint="pass a file that guardian audit export wrote"
            )
        self.log_id: str = said["log_id"]
        self._next()

    def checkpoints(self) -> Iterator[StoredCheckpoint]:
        """Yield the stored checkpoints."""
        for row in self._section(b'{"checkpoint":', ("origin", "size", "root", "note", "at")):
            origin, size, root, note, at = row
            yield StoredCheckpoint(origin, size, root, str(note).encode("utf-8", "surrogateescape"), at)

    def records(self) -> Iterator[Sealed]:
        """Yield the records as `verify` takes them, columns by what their bytes say."""
        while self._line.startswith(_OPEN):
            line = self._line
            if line[_HASH_END:_RECORD_START] == _MIDDLE and line.endswith(_CLOSE):
                self._records += 1
                yield self._row(line[_RECORD_START:-2], line[len(_OPEN) : _HASH_END].decode("ascii", "replace"))
            else:
                self._fault("is no record")
            self._next()

    def heads(self) -> Iterator[Head]:
        """Yield the heads."""
        for row in self._section(b'{"head":', ("stream", "size", "hash")):
            yield Head(*row)

    def finish(self) -> list[Finding]:
        """Check the last line, and return what is wrong with the file."""
        want = _end(self._records, self._digest.hexdigest())
        if self._line != want:
            self._fault("is not the end that belongs to the lines above" if self._line else "is missing: the file was cut")
        elif next(self._lines, None) is not None:
            self._number += 1
            self._fault("stands behind the end")
        return self._faults

    def _row(self, data: bytes, stated: str) -> Sealed:
        stream, seq, prev = self._place
        said: Mapping[str, Any]
        try:
            said = parse_record(data)
        except (ValueError, RecursionError):
            said = {}
        if not (said and type(said["seq"]) is int and _STRING.issuperset(map(type, _texts(said)))):
            said = {}
        place = (said.get("stream"), said.get("seq"))
        # Bytes that do not have their hash are believed only where their place is the next, or a new stream's first.
        fits = place == (stream, seq) or (place[0] != stream and place[1] == 0)
        if said and (fits or leaf_hash(data).hex() == stated):
            at = _milliseconds(said["recorded_at"])
            place, names = (said["stream"], said["seq"]), (said["id"], said["kind"], said["model"])
            row = Sealed(*place, *names, at, data, said["prev"], stated)
        else:
            row = Sealed(stream, seq, "", "", "", 0, data, prev, stated)
        self._place = (row.stream, row.seq + 1, stated)
        return row

    def _section(self, start: bytes, names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        while self._line.startswith(start):
            said = next(iter(_said(self._line).values()), None)
            if type(said) is dict and said.keys() == set(names):
                yield tuple(said[name] for name in names)
            else:
                self._fault("cannot be read")
            self._next()

    def _next(self) -> None:
        if self._line:
            self._digest.update(self._line)
        self._line = next(self._lines, b"")
        self._number += 1

    def _fault(self, what: str) -> None:
        self._faults.append(Finding(Flaw.EXPORT, "", None, f"Line {self._number} {what}."))


def _body(
    log_id: str,
    exported_at: int,
    checkpoints: Iterable[StoredCheckpoint],
    rows: Iterable[Sealed],
    heads: Iterable[Head],
) -> Iterator[bytes]:
    yield _line({"format": FORMAT, "v": FORMAT_VERSION, "log_id": log_id, "exported_at": rfc3339(exported_at)})
    for kept in checkpoints:
        yield _line({"checkpoint": kept._asdict() | {"note": kept.note.decode("utf-8", "surrogateescape")}})
    for row in rows:
        data = row.body_bytes
        if type(data) is not bytes or b"\n" in data or type(row.hash) is not str or len(row.hash.encode()) != _HASH_LENGTH:
            raise ExportRefusedError(
                f"record {row.stream!r:.80}/{row.seq!r:.20} is not as guardian writes records",
                hint="run guardian audit verify, which names what is wrong",
            )
        yield b"%b%b%b%b%b" % (_OPEN, row.hash.encode(), _MIDDLE, data, _CLOSE)
    for head in heads:
        yield _line({"head": head._asdict()})


def _end(records: int, sha256: str) -> bytes:
    return _line({"end": {"records": records, "sha256": sha256}})


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), default=repr).encode() + b"\n"


def _said(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if type(said) is dict else {}


def _milliseconds(text: str) -> Any:
    """Return the instant that a record's text means, or the text where it means none."""
    try:
        return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return text
