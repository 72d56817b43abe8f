"""What an engine needs of the outside: a log to read and a store to commit to. Adapters implement these; tests in
`testing.contracts` hold every adapter to the same behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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

    def advance(self, claim: Claim, next_offset: int) -> bool:
        """Compare and swap the partition's position; False when the claim is stale. Must be the first statement."""

    def put_states(self, partition: Partition, writes: Sequence[StateWrite]) -> None:
        """Replace named state blobs."""

    def put_panes(self, partition: Partition, writes: Sequence[PaneWrite]) -> None:
        """Replace pane spaces."""

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

    def load(self, partition: Partition) -> StoredState:
        """Return the stored state of a partition, as of the claim."""

    def positioned(self, partition: Partition, *, kind: str | None = None) -> Iterator[Positioned]:
        """Return positioned records in order of seq."""

    def artifact(self, digest: str) -> bytes:
        """Return stored bytes. Raises NotFoundError."""

    def requests(self) -> Sequence[Mapping[str, Any]]:
        """Return the latest row of every retraining request."""
