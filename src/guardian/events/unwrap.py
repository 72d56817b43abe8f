"""Records of a log to parts: what each record holds, by its headers, as the CloudEvents binding for Kafka has it.

A record is one event in structured JSON, one in binary mode, a JSON batch, or an Arrow table. Takes records in log order; gives
parts whose positions run from 0, and which record and row each position is. What cannot be unwrapped takes one position, as
bytes with their problem, so that nothing is lost. Never: decodes an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from guardian.events.binary import PREFIX, structured
from guardian.events.dead_letter import Problem
from guardian.events.envelope import LABEL_TYPE, PREDICTION_TYPE, RECORD_BYTES_MAX, RECORD_EVENTS_MAX
from guardian.events.halves import concerns
from guardian.events.pairs import Unreadable
from guardian.events.parts import ArrowPart, JsonPart
from guardian.events.reasons import Reason
from guardian.events.split import split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from guardian.events.halves import Message
    from guardian.events.pairs import Pairs
    from guardian.events.parts import Part

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
ARROW: Final = "application/vnd.apache.arrow.stream"

_CONTENT_TYPE: Final = "content-type"
_CLOUDEVENTS: Final = "application/cloudevents"  # Of every structured format and every batch.
_NOTHING: Final = Problem(Reason.TOMBSTONE, "$", "A record without a value.")
# How the type of an event that is no model server's stands in JSON, by the writers there are.
_OWN: Final = tuple(f'"type":{space}"{kind}"'.encode() for kind in (PREDICTION_TYPE, LABEL_TYPE) for space in ("", " "))
_HEAD: Final = 512  # Bytes in which an event's type is looked for, to find where the others have theirs.
_TYPES: Final = (PREDICTION_TYPE.encode(), LABEL_TYPE.encode())


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What records hold, n events in all.

    Attributes:
        parts: The events, positions 0 to n - 1.
        offsets: (n,) int64, ascending: offset of the record that each event came in.
        rows: (n,) int64: which of the record's events it is, from 0.
        times: (n,) int64: the record's timestamp, UTC milliseconds.
    """

    parts: Sequence[Part]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    times: NDArray[np.int64]


def unwrap(records: Sequence[Message], pairs: Pairs | None) -> Unwrapped:
    """Return what `records` hold.

    Args:
        records: In log order.
        pairs: The partition's waiting requests and responses of model servers, changed in place; None: they are not read.
    """
    values: list[Any] = [record.value for record in records]
    if _is_plain(records, values, pairs):
        offsets, times = _of_records(records)
        return Unwrapped([JsonPart(0, values)] if values else [], offsets, np.zeros(len(values), np.int64), times)
    wrapped = _Unwrapping(pairs)
    counts = np.fromiter(map(wrapped.take, records), np.int64, len(records))
    offsets, times = _of_records(records)
    firsts = np.cumsum(counts) - counts
    rows = np.arange(int(counts.sum())) - np.repeat(firsts, counts)
    return Unwrapped(wrapped.parts(), np.repeat(offsets, counts), rows, np.repeat(times, counts))


def _of_records(records: Sequence[Message]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    times = np.array([record.timestamp for record in records], np.int64)
    first, last = (records[0].offset, records[-1].offset) if records else (0, -1)
    if last - first == len(records) - 1:  # Offsets ascend, so none is missing.
        return np.arange(first, last + 1), times
    return np.array([record.offset for record in records], np.int64), times


def _is_plain(records: Sequence[Message], values: list[bytes | None], pairs: Pairs | None) -> bool:
    """Whether all records are structured JSON, none of it of a model server. Cheap: most deliveries are of this kind."""
    headers = [record.headers for record in records]
    if any(headers):
        first = headers[0]
        if len(first) != 1 or _kind(_lowered(first)) != STRUCTURED or headers.count(first) < len(headers):
            return False
    if None in values:
        return False
    if pairs is None:
        return True
    return not any(concerns(records[i]) for i in _others(values))


def _lowered(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """Return headers by name in lower case, the last of each name; a header without a value is none."""
    return {name.lower(): value for name, value in headers if value is not None}


def _kind(headers: Mapping[str, bytes]) -> str:
    """Return the media type that a record says it has, without parameters; empty where it says none."""
    return _media_type(headers.get(_CONTENT_TYPE, b""))


@lru_cache(maxsize=64)
def _media_type(said: bytes) -> str:
    return said.decode("utf-8", "replace").partition(";")[0].strip().lower()


def _is_json(kind: str) -> bool:
    return kind in ("", "application/json", "text/json") or kind.endswith("+json")


def _others(values: Sequence[Any]) -> list[int]:
    """Return which events do not say guardian's own types where the first one does."""
    at = _place(values[0]) if values else -1
    if at < 0:
        return list(range(len(values)))
    return [i for i, value in enumerate(values) if not value.startswith(_OWN, at)]


def _place(value: bytes) -> int:
    """Return where an event says one of guardian's own types, -1 where it does not do so early."""
    head = value[:_HEAD]
    return max(map(head.find, _OWN))


class _Unwrapping:
    """Unwraps records one by one, and gathers what follows on one another in one form."""

    def __init__(self, pairs: Pairs | None) -> None:
        self._pairs = pairs
        self._parts: list[Part] = []
        self._n = 0
        self._events: list[bytes] = []
        self._problems: dict[int, Problem] = {}
        self._tables: list[Any] = []
        self._at = 0  # Where the last event in JSON that said one of guardian's own types did so.

    def parts(self) -> list[Part]:
        """Return what was gathered."""
        self._end_events()
        self._end_tables()
        return self._parts

    def take(self, record: Message) -> int:
        """Unwrap a record; return how many events it holds."""
        before, value = self._n, record.value
        if value is None:
            self._bury(b"", _NOTHING)
            return 1
        headers = _lowered(record.headers)
        kind = _kind(headers)
        if self._pairs is None or kind in (ARROW, BATCH) or self._is_own(value, headers) or not concerns(record):
            self._by_kind(value, kind, headers)
            return self._n - before
        for found in self._pairs.take(record):
            if isinstance(found, Unreadable):
                self._bury(found.value, found.problem)
            else:
                self._add(found)
        return self._n - before

    def _is_own(self, value: bytes, headers: Mapping[str, bytes]) -> bool:
        """Whether an event says at once that it is no model server's; halves.concerns says it for certain, and takes longer."""
        if headers.get("ce_type") in _TYPES or value.startswith(_OWN, self._at):
            return True
        at = _place(value)
        self._at = max(at, 0)
        return at >= 0

    def _by_kind(self, value: bytes, kind: str, headers: Mapping[str, bytes]) -> None:
        if kind == ARROW:
            self._take_table(value)
        elif kind == BATCH:
            self._take_batch(value)
        elif kind in (STRUCTURED, _CLOUDEVENTS):
            self._add(value)
        elif kind.startswith(_CLOUDEVENTS) or not _is_json(kind):
            self._bury(value, Problem(Reason.UNKNOWN_CONTENT_TYPE, "$", f"Content of type {kind:.100} cannot be read."))
        elif any(name.startswith(PREFIX) for name in headers):
            self._take_binary(value, headers)
        else:
            self._add(value)

    def _take_binary(self, value: bytes, headers: Mapping[str, bytes]) -> None:
        event = structured(headers, value)
        if isinstance(event, Problem):
            self._bury(value, event)
        else:
            self._add(event)

    def _add(self, event: bytes) -> None:
        self._end_tables()
        self._events.append(event)
        self._n += 1

    def _bury(self, value: bytes, problem: Problem) -> None:
        self._problems[self._n] = problem
        self._add(value)

    def _take_batch(self, value: bytes) -> None:
        if len(value) > RECORD_BYTES_MAX:
            self._bury(value, Problem(Reason.TOO_LARGE, "$", f"A record has at most {RECORD_BYTES_MAX} bytes."))
            return
        events = list(split([value])) if value.lstrip().startswith(b"[") else [value]
        if len(events) > RECORD_EVENTS_MAX:
            self._bury(value, Problem(Reason.TOO_LARGE, "$", f"A record holds at most {RECORD_EVENTS_MAX} events."))
            return
        for event in events:
            self._add(event)

    def _take_table(self, value: bytes) -> None:
        from guardian.events.arrow_stream import read_stream  # pyarrow takes a while to import, and most logs do without.
        from guardian.events.arrow_table import misfit

        found = read_stream(value)
        if not isinstance(found, Problem):
            found = next(filter(None, (misfit(batch.schema) for batch in found)), found)
        if isinstance(found, Problem):
            self._bury(value, found)
            return
        self._end_events()
        for batch in found:
            if self._tables and not self._tables[-1].schema.equals(batch.schema, check_metadata=True):
                self._end_tables()
            self._tables.append(batch)
            self._n += batch.num_rows

    def _end_events(self) -> None:
        if self._events:
            self._parts.append(JsonPart(self._n - len(self._events), self._events, self._problems))
            self._events, self._problems = [], {}

    def _end_tables(self) -> None:
        if not self._tables:
            return
        from guardian.events.arrow_stream import joined

        first = self._n - sum(batch.num_rows for batch in self._tables)
        for batch in joined(self._tables):
            self._parts.append(ArrowPart(first, batch))
            first += batch.num_rows
        self._tables = []
