"""Whether the stored rows of one stream are the records that were sealed, in order, each chained to the last.

Takes: rows as stored, whatever somebody made of them. Gives: findings, the tree over the bytes, coverage. Never: trusts a
column, holds more than one row. The bytes are what counts: hashes and links are recomputed from them, and every column is
compared with them. One bad record gives one finding, and checking goes on behind it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from guardian.audit.leaf import FIRST_PREV, RECORD_BYTES_MAX, RECORD_VERSION, Sealed, leaf_hash
from guardian.audit.report import Covered, Findings, Flaw
from guardian.audit.tree import CompactRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEYS: Final = frozenset({"v", "stream", "seq", "id", "kind", "model", "recorded_at", "prev", "body"})
COVERAGE_KINDS: Final = ("coverage", "gap")  # A gap is a loss that was noticed and recorded.
INTAKE: Final = "intake/"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = ("stream", "seq", "id", "kind", "model", "prev")


@lru_cache(maxsize=1)  # An export's reader and the chain ask for the same bytes, one after the other.
def parse_record(data: bytes) -> Mapping[str, Any]:
    """Return what a record's bytes say. Raises ValueError unless they are one record: its keys, each once."""
    text = str(data, "utf-8")
    said, end = _DECODER.raw_decode(text)
    if end != len(text) or type(said) is not dict or said.keys() != KEYS:
        raise ValueError("the bytes do not hold the keys of a record")
    if type(said["body"]) is not dict:
        raise ValueError("the body is no object")
    if said["v"] != RECORD_VERSION:
        raise ValueError(f"the bytes are of format {said['v']!r:.20}, not {RECORD_VERSION}")
    out: Mapping[str, Any] = said
    return out


class StreamCheck:
    """The check of one stream: feed it the rows in order, then finish it."""

    def __init__(self, stream: str, marks: Sequence[tuple[int, bytes]], findings: Findings) -> None:
        """Start with the stream's checkpoints as (size, root), by size."""
        self.stream = stream
        self.tree = CompactRange()
        self._cover_start = self._cover_next = -1
        self._tiles = False
        self._marks = list(reversed(marks))
        self._mark = marks[0][0] if marks else -1
        self._agreed = 0
        self._first: int | None = None
        self._findings = findings
        self._seq = 0
        self._links: tuple[str, ...] | None = (FIRST_PREV,)

    def feed(self, row: Sealed) -> None:
        """Check the next row."""
        if row.seq != self._seq and not self._found_place(row):
            return
        bad, leaf = self._check(row)
        seq, self._seq = self._seq, self._seq + 1
        own = leaf.hex()
        # The record behind a bad one may be chained to what is stored or to what was sealed: neither is news.
        self._links = (own,) if not bad else (own, str(row.hash))
        self.tree.append(leaf)
        if self.tree.size == self._mark:
            self._compare_marks(seq)

    def finish(self) -> None:
        """Say which checkpoints reach beyond the stream's end."""
        for size, _ in reversed(self._marks):
            what = f"The checkpoint holds {size} records, the log {self.tree.size}."
            self._tell(Flaw.CHECKPOINT_CUT, self.tree.size, what)

    @property
    def covered(self) -> Covered | None:
        """The offsets that the stream's coverage records account for."""
        return Covered(self.stream, self._cover_start, self._cover_next) if self._cover_next >= 0 else None

    @property
    def ends(self) -> tuple[str, ...]:
        """The hashes that a head may hold: the last record's as recomputed, and as stored where that was told."""
        return self._links or (FIRST_PREV,)

    def _check(self, row: Sealed) -> tuple[bool, bytes]:
        """Return whether the row is bad, and its leaf hash."""
        data = row.body_bytes
        if type(data) is not bytes or len(data) > RECORD_BYTES_MAX:
            what = f"The record is {type(data).__name__}, not bytes, or longer than {RECORD_BYTES_MAX}."
            return self._doubt(Flaw.MALFORMED, self._seq, what), leaf_hash(b"")
        leaf = leaf_hash(data)
        if leaf.hex() != row.hash:
            what = f"The bytes hash to {leaf.hex()}, the column says {row.hash!r:.80}."
            return self._doubt(Flaw.HASH, self._seq, what), leaf
        try:
            said = parse_record(data)
        except (ValueError, RecursionError) as error:
            return self._doubt(Flaw.MALFORMED, self._seq, f"The bytes cannot be read: {error!s:.200}."), leaf
        if wrong := _other_columns(row, said):
            return self._doubt(Flaw.COLUMN, self._seq, wrong), leaf
        if self._links is not None and said["prev"] not in self._links:
            what = f"Record {self._seq} was chained to {said['prev']!r:.80}, which is not the one before it."
            return self._doubt(Flaw.CHAIN, max(self._seq - 1, 0), what), leaf
        if said["kind"] in COVERAGE_KINDS and self.stream.startswith(INTAKE):
            return self._cover(said["body"]), leaf
        return False, leaf

    def _found_place(self, row: Sealed) -> bool:
        """Say what is wrong with the row's sequence; False when the row has no place in the chain."""
        if type(row.seq) is not int:
            return not self._tell(Flaw.COLUMN, self._seq, f"The column seq holds {row.seq!r:.80}.")
        if row.seq < self._seq:
            code = Flaw.DUPLICATE if row.seq == self._seq - 1 else Flaw.ORDER
            return not self._tell(code, row.seq, f"Sequence {row.seq} comes again, after {self._seq - 1}.")
        last = f" to {row.seq - 1} are" if row.seq - 1 > self._seq else " is"
        self._tell(Flaw.GAP, self._seq, f"Sequence {self._seq}{last} missing.")
        self._seq, self._links, self._tiles = row.seq, None, False
        return True

    def _cover(self, body: dict[str, Any]) -> bool:
        """Check that a coverage record goes on where the last one ended."""
        start, end, count = body.get("from_offset"), body.get("to_offset"), body.get("count")
        if not (type(start) is type(end) is int and 0 <= start <= end):
            what = f"The record covers offsets {start!r:.40} to {end!r:.40}, which is no interval."
            return self._tell(Flaw.COVERAGE, self._seq, what)
        known, self._cover_next = self._cover_next, end
        tiles, self._tiles = self._tiles, True
        if known < 0:
            self._cover_start = start
        elif tiles and start != known:
            hole = "a hole" if start > known else "an overlap"
            what = f"Offsets up to {known} are covered and this record begins at {start}: {hole}."
            return self._tell(Flaw.COVERAGE, self._seq, what)
        if count is not None and not (type(count) is int and 0 <= count <= end - start):
            what = f"The record counts {count!r:.40} events in offsets {start} to {end}."
            return self._tell(Flaw.COVERAGE, self._seq, what)
        return False

    def _compare_marks(self, seq: int) -> None:
        root = self.tree.root()
        while self._marks and self._marks[-1][0] == self.tree.size:
            if self._marks.pop()[1] == root:
                self._agreed, self._first = self.tree.size, None
                continue
            what = f"The first {self.tree.size} records are not those that the checkpoint was signed over;"
            what += f" the change lies in {self._agreed} to {seq}."
            # Where the chain has named a record already, the root only confirms it.
            self._tell(Flaw.CHECKPOINT_REWRITTEN, self._agreed if self._first is None else self._first, what)
        self._mark = self._marks[-1][0] if self._marks else -1

    def _doubt(self, code: Flaw, seq: int, what: str) -> bool:
        """Tell of a record whose content is in doubt: what it covers is not known, so the next one need not tile."""
        self._tiles = False
        return self._tell(code, seq, what)

    def _tell(self, code: Flaw, seq: int, what: str) -> bool:
        self._findings.add(code, self.stream, seq, what)
        self._first = seq if self._first is None else min(seq, self._first)
        return True


def _other_columns(row: Sealed, said: Mapping[str, Any]) -> str:
    """Return a sentence on the columns that differ from the bytes, or nothing."""
    stream, seq, record_id, kind, model, at, _, prev, _ = row
    if (
        said["seq"] == seq
        and said["prev"] == prev
        and said["id"] == record_id
        and said["kind"] == kind
        and said["recorded_at"] == rfc3339(at)
        and said["stream"] == stream
        and said["model"] == model
    ):
        return ""
    pairs = [(name, getattr(row, name), said[name]) for name in _COLUMNS]
    pairs.append(("recorded_at", rfc3339(at), said["recorded_at"]))
    other = [f"{name} says {ours!r:.80}, the bytes {said!r:.80}" for name, ours, said in pairs if ours != said]
    return f"The column {'; '.join(other)}."


def rfc3339(at: object) -> str:
    """Write an instant as records do; the verifier has its own, so that it needs no other room."""
    if type(at) is not int:
        return repr(at)
    minute, left = divmod(at, 60_000)
    return f"{_minute(minute)}{left // 1000:02d}.{left % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _minute(minute: int) -> str:
    try:
        return (EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:")
    except OverflowError:
        return f"{minute} minutes and "


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says one key twice: two readers could read two things."""
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key comes twice")
    return out


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
