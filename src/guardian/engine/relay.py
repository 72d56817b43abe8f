"""What leaves for topics: announcements, audit records and dead letters, each stream in its order, each thing at least once.

A page of a stream is sent, every acknowledgement awaited, and only then is the stream's mark moved. A crash in between sends that
page again: the same ids in the same order, so that a receiver drops what it has. One process relays, by a lease; two at once, for
as long as a paused one does not know better, send the same things twice and lose none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from guardian.audit.chain import parse_record
from guardian.canonical import canonical, short_id
from guardian.engine.fates import StoreBusyError
from guardian.engine.outbox import SEQUENCE_DIGITS, SOURCE
from guardian.engine.outgoing import NO_LETTER, Outgoing, letter_mark, letter_place
from guardian.engine.topics import AUDIT, CHECKPOINT_TYPE, DEADLETTER, DEADLETTER_TYPE, RECORD_TYPE
from guardian.errors import UnreachableError
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from guardian.audit.leaf import Sealed, StoredCheckpoint
    from guardian.engine.audit_port import AuditLog
    from guardian.engine.lease import Holding
    from guardian.engine.outgoing import KeptLetter
    from guardian.engine.ports import Partition, Standing

LEASE: Final = "relay"
PAGE: Final = 500  # Rows of a stream that are in flight at once: what a crash sends twice at most.


@dataclass(frozen=True, slots=True)
class Parcel:
    """A structured CloudEvent for a topic; the key chooses its partition, so that one model's keep their order."""

    key: str
    value: bytes


class Sender(Protocol):
    """Puts parcels on a topic."""

    def __call__(self, topic: str, parcels: Sequence[Parcel]) -> None:
        """Return when every parcel is acknowledged, in order. Raises UnreachableError."""


class Kept(Outgoing, Protocol):
    """The database as a relay sees it."""

    def standings(self, topic: str) -> list[Standing]:
        """Return where every partition of a log stands."""


class Relay:
    """Sends what has not left yet, while the lease is held. Not for several threads."""

    def __init__(self, store: Kept, log: AuditLog, send: Sender, topic: str, holding: Holding, now: Callable[[], int]) -> None:
        self._store, self._log, self._send, self._topic, self._holding, self._now = store, log, send, topic, holding, now

    @property
    def stands_by(self) -> bool:
        """Whether another process relays, or has until a moment ago."""
        return self._holding.stands_by

    def stop(self) -> None:
        """Give the lease up, for the next to take at once."""
        self._holding.give_up()

    def turn(self) -> int:
        """Send a page of every stream that has more; return how many things left.

        Raises UnreachableError when a stream could not leave, after the others were tried: none waits behind another.
        """
        if not self._holding.is_held():
            return 0
        marks, sent, refused = self._store.marks(), 0, None
        for leave in self._streams(marks):
            try:
                sent += leave()
            except StoreBusyError:
                raise
            except UnreachableError as error:
                refused = refused or error
        if refused is not None:
            raise refused
        return sent

    def _streams(self, marks: dict[str, int]) -> Iterator[Callable[[], int]]:
        """Yield what sends a page of each stream."""
        yield from (partial(self._outbox, topic, marks) for topic in self._store.outbox_topics())
        yield partial(self._checkpoints, marks)
        yield from (partial(self._audit, head.stream, head.size, marks) for head in self._log.heads())
        yield from (partial(self._letters, standing.claim.partition, marks) for standing in self._store.standings(self._topic))

    def _outbox(self, topic: str, marks: dict[str, int]) -> int:
        stream = f"outbox/{topic}"
        rows = self._store.outbox(topic, marks.get(stream, 0), PAGE)
        return self._leave(stream, topic, [Parcel(row.key, row.value) for row in rows], rows[-1].seq if rows else 0)

    def _audit(self, name: str, size: int, marks: dict[str, int]) -> int:
        stream = f"audit/{name}"
        begin = marks.get(stream, -1) + 1
        if begin >= size:
            return 0
        rows = list(islice(self._log.rows(name, begin), PAGE))
        return self._leave(stream, AUDIT, [_record(row) for row in rows], rows[-1].seq if rows else 0)

    def _checkpoints(self, marks: dict[str, int]) -> int:
        kept = [one for one in self._log.checkpoints() if one.size > marks.get(f"checkpoint/{one.origin}", -1)]
        for one in kept[:PAGE]:
            self._leave(f"checkpoint/{one.origin}", AUDIT, [_checkpoint(one)], one.size)
        return len(kept[:PAGE])

    def _letters(self, partition: Partition, marks: dict[str, int]) -> int:
        stream = f"deadletter/{partition.topic}/{partition.number}"
        place = letter_place(marks.get(stream, NO_LETTER))
        kept = self._store.dead_letters_after(partition, *place, PAGE)
        last = letter_mark(kept[-1].letter.offset, kept[-1].letter.row) if kept else 0
        return self._leave(stream, DEADLETTER, [_letter(partition, one) for one in kept], last)

    def _leave(self, stream: str, topic: str, parcels: Sequence[Parcel], last: int) -> int:
        if parcels:
            self._send(topic, parcels)
            self._store.mark(stream, last, self._now())
        return len(parcels)


def _record(row: Sealed) -> Parcel:
    """Return an audit record as a CloudEvent whose data is the record, and whose sequence the record's own."""
    event = _event(RECORD_TYPE, row.id, row.stream, row.recorded_at, parse_record(row.body_bytes))
    return Parcel(row.model, canonical(event | {"sequence": f"{row.seq:0{SEQUENCE_DIGITS}d}"}))


def _checkpoint(kept: StoredCheckpoint) -> Parcel:
    data = {"origin": kept.origin, "size": kept.size, "root": kept.root, "note": kept.note.decode(), "at": format_time(kept.at)}
    id_ = short_id("checkpoint", kept.origin, str(kept.size))
    return Parcel("", canonical(_event(CHECKPOINT_TYPE, id_, kept.origin, kept.at, data)))


def _letter(partition: Partition, kept: KeptLetter) -> Parcel:
    letter = kept.letter
    data = {
        "topic": partition.topic,
        "part": partition.number,
        "offset": letter.offset,
        "row": letter.row,
        "reason": letter.reason,
        "detail": letter.detail,
        "place": letter.place,
        "model": letter.model,
        "size": letter.size,
        "sha256": letter.sha256,
        "sample": letter.sample.decode(errors="replace"),
        "recorded_at": format_time(kept.recorded_at),
    }
    id_ = short_id("deadletter", partition.topic, str(partition.number), str(letter.offset), str(letter.row))
    return Parcel(letter.model, canonical(_event(DEADLETTER_TYPE, id_, letter.model, kept.recorded_at, data)))


def _event(type_: str, id_: str, subject: str, at: int, data: Mapping[str, Any]) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": SOURCE,
        "type": type_,
        "time": format_time(at),
        "datacontenttype": "application/json",
        "data": dict(data),
    }
    return event | ({"subject": subject} if subject else {})
