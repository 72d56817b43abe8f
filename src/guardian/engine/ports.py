"""What an engine needs of the outside: a log to read and a store to commit to. Adapters implement these; tests in
`testing.contracts` hold every adapter to the same behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from guardian.effects import (
        AlertWrite,
        Announcement,
        Artifact,
        DeadLetter,
        Fates,
        PaneWrite,
        Record,
        RequestWrite,
        RunDrop,
        RunWrite,
        StateWrite,
        VerdictEntry,
    )


@dataclass(frozen=True, slots=True)
class Partition:
    """One ordered log. The embedded engine has one: topic `inbox`, number 0."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A right to write one partition's state: valid while the stored (epoch, next_offset, catalog) are these."""

    partition: Partition
    epoch: int
    next_offset: int
    catalog: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """Consecutive events of one partition as the log holds them.

    Attributes:
        first_offset: Offset of the first event.
        events: The raw bytes of each event.
        received_at: When the log took them in, wall clock, UTC milliseconds.
    """

    first_offset: int
    events: Sequence[bytes]
    received_at: int


class LogRecord(Protocol):
    """One record of a fleet's log as a broker hands it over; it may hold one event or a batch of them.

    Attributes:
        offset: Its place in the partition.
        timestamp: When the log, or its producer, says that it took it in, UTC milliseconds.
        key: The prediction id, or None.
        value: The bytes; None is a tombstone.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values, in order; a value may be null. Bytes of a name that are not UTF-8 are lone surrogates (PEP 383)."""


@dataclass(frozen=True, slots=True)
class Positioned:
    """Something other than an event that state folds, at its place in the log.

    Attributes:
        seq: Order among positioned records.
        kind: `activation`, `idle-tick`, `end-tick` or `decision`.
        offset: It applies before the event at this offset.
        body: JSON value.
    """

    seq: int
    kind: str
    offset: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredState:
    """Everything of one partition that a process needs to go on: blobs by their names."""

    states: Sequence[StateWrite]
    panes: Sequence[PaneWrite]
    runs: Sequence[RunWrite]
    fates: Sequence[Fates]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one partition of a log stands.

    Attributes:
        claim: Its position, epoch and catalog number.
        status: `running`, or `halted` until an operator resumes it.
        tail: Digest of the record before `next_offset`, by which a log that was put in another's place is told; empty if unknown.
        owner: Who claimed it last.
    """

    claim: Claim
    status: str
    tail: str
    owner: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a judge reads of one model over all partitions of a log, all of it from one state of the database.

    Attributes:
        offsets: The next offset of every partition, by number.
        clocks: The model's stored clock blob of every partition that has one, by number.
        panes: Panes written since, by number of their partition.
    """

    offsets: Mapping[int, int]
    clocks: Mapping[int, bytes]
    panes: Sequence[tuple[int, PaneWrite]]


class Log(Protocol):
    """The ordered events of one partition."""

    def read(self, first_offset: int, limit: int) -> list[Delivery]:
        """Return deliveries from `first_offset` on, about `limit` events, fewer at the end; the first may start earlier never."""

    def end(self) -> int:
        """Return the offset that the next event will get."""

    def append(self, events: Sequence[bytes], received_at: int) -> int:
        """Take events in; return the first one's offset."""


class Transaction(Protocol):
    """One open write transaction. All of it happens, or nothing."""

    def advance(self, claim: Claim, next_offset: int, tail: str) -> bool:
        """Compare and swap the partition's position; False when the claim is stale. Must be the first statement.

        `tail` replaces the stored digest of the last record, unless it is empty.
        """

    def lock(self, partitions: Sequence[Partition]) -> list[Standing]:
        """Make sure the partitions have rows, and keep everybody else from advancing them until the transaction ends.

        Locks are taken in the order of (topic, number), whatever the order given; the answer is in the order given.
        """

    def clocks(self, topic: str, model: str) -> dict[int, bytes]:
        """Return the model's stored clock blob of every partition of the topic that has one, by number."""

    def set_status(self, partition: Partition, status: str) -> None:
        """Mark a partition `running` or `halted`."""

    def put_states(self, partition: Partition, writes: Sequence[StateWrite]) -> None:
        """Replace named state blobs."""

    def put_panes(self, partition: Partition, writes: Sequence[PaneWrite], next_offset: int) -> None:
        """Replace pane spaces; `next_offset` is kept with each, so that a judge finds what was written since."""

    def put_runs(self, partition: Partition, writes: Sequence[RunWrite], drops: Sequence[RunDrop]) -> None:
        """Insert new ledger runs and delete old ones."""

    def put_fates(self, partition: Partition, writes: Sequence[Fates]) -> None:
        """Replace intake counters."""

    def put_dead_letters(self, partition: Partition, letters: Sequence[DeadLetter], recorded_at: int) -> None:
        """Insert dead letters."""

    def put_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        """Insert what is not there yet."""

    def append_records(self, records: Sequence[Record], recorded_at: int) -> None:
        """Append audit records to their streams: sequence, previous hash, canonical bytes."""

    def put_verdicts(self, entries: Sequence[VerdictEntry]) -> None:
        """Insert revisions; an older revision of the same id stops being the latest."""

    def put_alerts(self, writes: Sequence[AlertWrite]) -> None:
        """Replace or remove alert rows."""

    def put_requests(self, writes: Sequence[RequestWrite]) -> None:
        """Replace retraining rows."""

    def announce(self, announcements: Sequence[Announcement], recorded_at: int) -> None:
        """Insert outbox rows, each with the next gapless sequence of its topic; an id already there is not inserted again."""

    def add_positioned(self, partition: Partition, kind: str, offset: int, body: Mapping[str, Any], recorded_at: int) -> int:
        """Insert a positioned record; return its seq."""

    def raise_catalog(self, partition: Partition) -> int:
        """Raise the partition's catalog number, which makes older claims stale; return it."""


class Store(Protocol):
    """The one SQL database as an engine sees it."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """Open a write transaction; commit on a clean exit, roll back on any exception."""

    def claim(self, partition: Partition, owner: str) -> Claim:
        """Take a partition over: raise its epoch, so that whoever held it is fenced."""

    def position(self, partition: Partition) -> Claim:
        """Return where a partition stands without taking it over: what an operator's decision is written against."""

    def ensure_partitions(self, topic: str, count: int) -> None:
        """Make sure that partitions 0 to count - 1 of a log have rows.

        Raises InvalidStateError when the log has other partitions already: an id's events would meet no longer.
        """

    def standings(self, topic: str) -> list[Standing]:
        """Return where every partition of a log stands, by number; empty where the log is unknown."""

    def load(self, partition: Partition) -> StoredState:
        """Return the stored state of a partition, as of the claim."""

    def gather(self, topic: str, model: str, since: Mapping[int, int], oldest: int | None) -> Gathered:
        """Return what a judge reads of a model.

        Args:
            topic: The log.
            model: The model.
            since: By partition number, the offset up to which panes were read before; a partition not named is read whole.
            oldest: Panes that start before this instant are left out; None leaves none out.
        """

    def positioned(self, partition: Partition, *, kind: str | None = None) -> Iterator[Positioned]:
        """Return positioned records in order of seq."""

    def artifact(self, digest: str) -> bytes:
        """Return stored bytes. Raises NotFoundError."""

    def requests(self) -> Sequence[Mapping[str, Any]]:
        """Return the latest row of every retraining request."""


class LogReader(Protocol):
    """Who counts a fleet's log: what an adapter of a broker drives, from one thread. It may be told anything, in any order.

    Every method may raise StoreBusyError: nothing is then changed, and the adapter calls it again after a pause.
    """

    def assigned(self, ends: Mapping[Partition, tuple[int, int]]) -> dict[Partition, int | None]:
        """Take over exactly these partitions and no others, whatever was held before.

        Args:
            ends: Each partition's earliest offset and the offset that its next record will get.

        Returns the offset to read each from; None for a partition that must not be read (`halted`).
        """

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """Drop what is held of these; nothing of theirs is acknowledged anywhere, so nothing is lost."""

    def deliver(self, partition: Partition, records: Sequence[LogRecord]) -> int | None:
        """Take records; return the offset that the partition must be read from instead, or None to read on."""

    def lost(self, partition: Partition, earliest: int, end: int) -> int | None:
        """Say that the offset to be read is outside of the log; return where to read from, or None to stop reading it."""

    def work(self) -> dict[Partition, int | None]:
        """Count and land what is due; return the partitions to be read from elsewhere, as `assigned` does. Call it often."""

    def wants(self, partition: Partition) -> bool:
        """Whether more records of the partition may be delivered: False while as much as may be held is held."""
