"""In-memory `Store`, `Log`, `AuditLog`, `Leases` and `JobRuns`: what the contracts in `testing.contracts` hold both adapters to.

A transaction works on a copy of the tables and swaps it in at the end, so an exception leaves nothing behind.
"""

from __future__ import annotations

import copy
import json
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from threading import RLock
from typing import TYPE_CHECKING, Any

from guardian.adapters.memory.transaction import MemoryTransaction, clocks, unclaimed
from guardian.audit.leaf import Head, Sealed, StoredCheckpoint
from guardian.effects import Fates
from guardian.engine.outgoing import KeptLetter
from guardian.engine.ports import Delivery, Gathered, Partition, Positioned, StoredState
from guardian.errors import InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardian.effects import AlertWrite, DeadLetter, PaneWrite, RequestWrite, RunWrite, StateWrite, VerdictEntry
    from guardian.engine.outbox import OutboxRow
    from guardian.engine.ports import Claim, Standing

LOG_ID = "memory"


@dataclass
class Tables:
    """What the database holds. Values are immutable; a copy of the containers is a copy of everything."""

    standings: dict[Partition, Standing] = field(default_factory=dict)
    states: dict[Any, StateWrite] = field(default_factory=dict)
    panes: dict[Any, PaneWrite] = field(default_factory=dict)
    pane_offsets: dict[Any, int] = field(default_factory=dict)
    runs: dict[Any, RunWrite] = field(default_factory=dict)
    fates: dict[Any, int] = field(default_factory=dict)
    dead_letters: dict[tuple[Partition, int, int], DeadLetter] = field(default_factory=dict)
    letter_times: dict[tuple[Partition, int, int], int] = field(default_factory=dict)
    positioned: dict[int, tuple[Partition, Positioned]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    records: dict[tuple[str, int], Sealed] = field(default_factory=dict)
    record_ids: dict[str, tuple[str, int]] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    verdicts: dict[tuple[str, int], VerdictEntry] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, AlertWrite] = field(default_factory=dict)
    requests: dict[str, RequestWrite] = field(default_factory=dict)
    outbox: dict[tuple[str, int], OutboxRow] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    outbox_ends: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Tables:
        """Return tables that can be filled without changing these."""
        return Tables(**{slot.name: copy.copy(getattr(self, slot.name)) for slot in fields(self)})


class MemoryStore:
    """The whole store in one object."""

    def __init__(self) -> None:
        self.tables = Tables()
        self._lock = RLock()  # One writer at a time, as in the database.
        self._leases: dict[str, tuple[str, int, int]] = {}
        self._runs: dict[tuple[str, int], str | None] = {}
        self._marks: dict[str, int] = {}
        self._checkpoints: dict[tuple[str, int], StoredCheckpoint] = {}

    @contextmanager
    def begin(self) -> Iterator[MemoryTransaction]:
        """Open a write transaction; commit on a clean exit, roll back on any exception."""
        with self._lock:
            tables = self.tables.copy()
            yield MemoryTransaction(tables)
            self.tables = tables

    def claim(self, partition: Partition, owner: str) -> Claim:
        """Take a partition over: raise its epoch, so that whoever held it is fenced."""
        with self._lock:
            held = self.tables.standings.get(partition, unclaimed(partition))
            claim = replace(held.claim, epoch=held.claim.epoch + 1)
            self.tables.standings[partition] = replace(held, claim=claim, owner=owner)
            return claim

    def position(self, partition: Partition) -> Claim:
        """Return where a partition stands without taking it over."""
        with self._lock:
            return self.tables.standings.setdefault(partition, unclaimed(partition)).claim

    def ensure_partitions(self, topic: str, count: int) -> None:
        """Make sure that partitions 0 to count - 1 of a log have rows. Raises InvalidStateError when it has others already."""
        with self._lock:
            there = {partition.number for partition in self.tables.standings if partition.topic == topic}
            if there and there != set(range(count)):
                raise InvalidStateError(
                    f"the log {topic} has {count} partitions, and state of {len(there)} others", hint="see docs/errors.md"
                )
            for number in range(count):
                partition = Partition(topic, number)
                self.tables.standings.setdefault(partition, unclaimed(partition))

    def standings(self, topic: str) -> list[Standing]:
        """Return where every partition of a log stands, by number."""
        with self._lock:
            found = (standing for partition, standing in self.tables.standings.items() if partition.topic == topic)
            return sorted(found, key=lambda standing: standing.claim.partition.number)

    def gather(self, topic: str, model: str, since: Mapping[int, int], oldest: int | None) -> Gathered:
        """Return what a judge reads of a model, panes in the order of partition and key."""
        with self._lock:
            tables = self.tables
            offsets = {standing.claim.partition.number: standing.claim.next_offset for standing in self.standings(topic)}
            panes = [
                (number, write)
                for number in offsets
                for key, write in _of(tables.panes, Partition(topic, number))
                if write.model == model
                and (oldest is None or write.start >= oldest)
                and (number not in since or tables.pane_offsets[Partition(topic, number), key] > since[number])
            ]
            return Gathered(offsets, clocks(tables, topic, model), panes)

    def load(self, partition: Partition) -> StoredState:
        """Return the stored state of a partition, in the order of the keys."""
        tables = self.tables
        fates: dict[tuple[str, int], dict[str, int]] = {}
        for (model, pane, counter), n in _of(tables.fates, partition):
            fates.setdefault((model, pane), {})[counter] = n
        return StoredState(
            states=[value for _, value in _of(tables.states, partition)],
            panes=[value for _, value in _of(tables.panes, partition)],
            runs=[value for _, value in _of(tables.runs, partition)],
            fates=[Fates(model, pane, own) for (model, pane), own in fates.items()],
        )

    def positioned(self, partition: Partition, *, kind: str | None = None) -> Iterator[Positioned]:
        """Return positioned records in order of seq."""
        rows = sorted(self.tables.positioned.items())
        found = [row for _, (own, row) in rows if own == partition and kind in {None, row.kind}]
        return (Positioned(row.seq, row.kind, row.offset, json.loads(json.dumps(row.body))) for row in found)

    def artifact(self, digest: str) -> bytes:
        """Return stored bytes. Raises NotFoundError."""
        try:
            return self.tables.artifacts[digest]
        except KeyError:
            raise NotFoundError(f"nothing is stored under {digest}", hint="check the digest") from None

    def requests(self) -> list[dict[str, Any]]:
        """Return the latest row of every retraining request."""
        found = sorted(self.tables.requests.values(), key=lambda write: (write.proposed_at, write.id))
        return [json.loads(json.dumps(write.row)) for write in found]

    def outbox(self, topic: str, after_seq: int = 0, limit: int = 1_000) -> list[OutboxRow]:
        """Return announcements of a topic after a sequence, in order, at most `limit`."""
        rows = sorted(self.tables.outbox.items())
        return [row for (own, seq), row in rows if own == topic and seq > after_seq][:limit]

    def outbox_topics(self) -> list[str]:
        """Return every topic that something was announced on."""
        return sorted(self.tables.outbox_ends)

    def dead_letters_after(self, partition: Partition, offset: int, row: int, limit: int) -> list[KeptLetter]:
        """Return dead letters of a partition after a place, in order, at most `limit`."""
        with self._lock:
            letters, times = self.tables.dead_letters, self.tables.letter_times
            after = sorted(place for place in letters if place[0] == partition and place[1:] > (offset, row))
            return [KeptLetter(letters[place], times[place]) for place in after[:limit]]

    def marks(self) -> dict[str, int]:
        """Return how far each stream has left."""
        with self._lock:
            return dict(self._marks)

    def mark(self, stream: str, seq: int, at: int) -> None:
        """Say that everything of a stream up to `seq` is acknowledged; a lower mark does nothing."""
        with self._lock:
            self._marks[stream] = max(seq, self._marks.get(stream, seq))

    def acquire(self, name: str, holder: str, ttl_ms: int, now: int) -> int | None:
        """Take the lease until `now + ttl_ms` and return its new epoch; None while somebody else holds it."""
        with self._lock:
            held, epoch, expires_at = self._leases.get(name, ("", 0, 0))
            if held not in {"", holder} and expires_at > now:
                return None
            self._leases[name] = (holder, epoch + 1, now + ttl_ms)
            return epoch + 1

    def holder(self, name: str) -> str:
        """Return who took the lease last and has not released it; empty where nobody has."""
        with self._lock:
            return self._leases.get(name, ("", 0, 0))[0]

    def renew(self, name: str, holder: str, epoch: int, ttl_ms: int, now: int) -> bool:
        """Hold on until `now + ttl_ms`; False when the lease of that epoch is lost or has run out."""
        with self._lock:
            held, at, expires_at = self._leases.get(name, ("", 0, 0))
            if (held, at) != (holder, epoch) or expires_at <= now:
                return False
            self._leases[name] = (holder, epoch, now + ttl_ms)
            return True

    def release(self, name: str, holder: str, epoch: int) -> None:
        """Give the lease up; nothing happens when it is not held at that epoch."""
        with self._lock:
            if self._leases.get(name, ("", 0, 0))[:2] == (holder, epoch):
                self._leases[name] = ("", epoch, 0)

    def start_run(self, job: str, scheduled_for: int, started_at: int) -> bool:
        """Take the run of `job` that was due at `scheduled_for`; False when somebody took it before."""
        with self._lock:
            if (job, scheduled_for) in self._runs:
                return False
            self._runs[job, scheduled_for] = None
            return True

    def finish_run(self, job: str, scheduled_for: int, finished_at: int, outcome: str) -> None:
        """Write down how it ended."""
        with self._lock:
            self._runs[job, scheduled_for] = outcome

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Nothing is written while it is open."""
        with self._lock:
            yield

    def log_id(self) -> str:
        """Return the id of this log."""
        return LOG_ID

    def rows(self, stream: str | None = None, from_seq: int = 0) -> Iterator[Sealed]:
        """Yield records by (stream, seq), from `from_seq` on in each stream."""
        for (own, seq), record in sorted(self.tables.records.items()):
            if stream in {None, own} and seq >= from_seq:
                yield record

    def heads(self) -> list[Head]:
        """Return the head of every stream, by stream."""
        return sorted(self.tables.heads.values())

    def find(self, record_id: str) -> Sealed | None:
        """Return the record of that id."""
        place = self.tables.record_ids.get(record_id)
        return None if place is None else self.tables.records[place]

    def checkpoints(self) -> list[StoredCheckpoint]:
        """Return the stored checkpoints by (origin, size)."""
        return sorted(self._checkpoints.values())

    def put_checkpoint(self, origin: str, size: int, root: str, note: bytes, at: int) -> None:
        """Keep a signed checkpoint; the same (origin, size) again changes nothing."""
        self._checkpoints.setdefault((origin, size), StoredCheckpoint(origin, size, root, note, at))


class MemoryLog:
    """`engine.ports.Log` in a list; each append stays one delivery."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._rows: list[tuple[tuple[bytes, ...], int]] = []
        self._end = 0

    def read(self, first_offset: int, limit: int) -> list[Delivery]:
        """Return deliveries from `first_offset` on: whole appends until `limit` events are reached."""
        out: list[Delivery] = []
        for at in range(max(0, bisect_right(self._firsts, first_offset) - 1), len(self._rows)):
            events, received_at = self._rows[at]
            skip = max(0, first_offset - self._firsts[at])
            if skip >= len(events):
                continue
            out.append(Delivery(self._firsts[at] + skip, list(events[skip:]), received_at))
            limit -= len(events) - skip
            if limit <= 0:
                break
        return out

    def end(self) -> int:
        """Return the offset that the next event will get."""
        return self._end

    def append(self, events: Sequence[bytes], received_at: int) -> int:
        """Take events in; return the first one's offset."""
        first = self._end
        if events:
            self._firsts.append(first)
            self._rows.append((tuple(events), received_at))
            self._end += len(events)
        return first


def _of(rows: dict[Any, Any], partition: Partition) -> list[tuple[Any, Any]]:
    return sorted(((key, value) for (own, key), value in rows.items() if own == partition), key=lambda pair: pair[0])
