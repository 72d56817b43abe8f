"""One worker's share of a fleet's log: the partitions that it was assigned, each read and counted by itself.

Implements `engine.ports.LogReader`. Driven from one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardian.engine.partition_reader import PartitionReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from guardian.engine.partition_reader import Pace
    from guardian.engine.ports import LogRecord, Partition, Store
    from guardian.events.placement import Placement

QUIET_MS: Final = 5_000  # A partition in which something came or was counted later than this is not silent.
ALL: Final = 1 << 62  # After every offset.


class Fleet:
    """Counts what it is assigned."""

    def __init__(
        self,
        store: Store,
        owner: str,
        *,
        pace: Pace,
        tick_every_ms: int,
        placement_of: Callable[[int], Placement | None],
        now: Callable[[], int],
    ) -> None:
        self._store, self._owner, self._pace, self._now = store, owner, pace, now
        self._placement_of = placement_of
        self._tick_every_ms, self._ticked_at = tick_every_ms, now()
        self._readers: dict[Partition, PartitionReader] = {}
        self._moved: dict[Partition, int | None] = {}  # To be read from elsewhere, and nobody was told yet.
        self.counted = 0

    def assigned(self, ends: Mapping[Partition, tuple[int, int]]) -> dict[Partition, int | None]:
        """Take over exactly these partitions; return where to read each from, None for one that must not be read."""
        self.revoked(self._readers.keys() - ends.keys())
        self._moved.clear()
        return {partition: self._reader(partition).take(*ends[partition]) for partition in sorted(ends, key=_place)}

    def _reader(self, partition: Partition) -> PartitionReader:
        if partition not in self._readers:
            placement = self._placement_of(partition.number)
            options = {"pace": self._pace, "now": self._now, "placement": placement}
            self._readers[partition] = PartitionReader(self._store, partition, self._owner, **options)  # type: ignore[arg-type]
        return self._readers[partition]

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """Drop what is held of these."""
        for partition in list(partitions):
            self._readers.pop(partition, None)
            self._moved.pop(partition, None)

    def deliver(self, partition: Partition, records: Sequence[LogRecord]) -> int | None:
        """Take records; return the offset to read from instead, or None to read on."""
        reader = self._readers.get(partition)
        return None if reader is None else reader.deliver(records)

    def lost(self, partition: Partition, earliest: int, end: int) -> int | None:
        """Say that the offset to be read is outside of the log; return where to read from, or None to stop reading it."""
        reader = self._readers.get(partition)
        return None if reader is None else reader.lost(earliest, end)

    def wants(self, partition: Partition) -> bool:
        """Whether more records of the partition may be delivered."""
        reader = self._readers.get(partition)
        return reader is not None and reader.wants

    def work(self) -> dict[Partition, int | None]:
        """Count and land what is due, and tick; return the partitions to be read from elsewhere."""
        for partition, reader in self._readers.items():
            before = reader.counted
            try:
                elsewhere, offset = reader.work()
            finally:
                self.counted += reader.counted - before
            if elsewhere:
                self._moved[partition] = offset
        if self._now() >= self._ticked_at + self._tick_every_ms:
            self._tick_idle()
            self._ticked_at = self._now()
        moved, self._moved = self._moved, {}
        return moved

    @property
    def waiting(self) -> int:
        """Records that wait to be counted."""
        return sum(reader.waiting for reader in self._readers.values())

    def _tick_idle(self) -> None:
        """Move live clocks of models that are silent in a partition on."""
        for partition, reader in self._readers.items():
            if not reader.is_reading or reader.waiting or self._now() < reader.quiet_since + QUIET_MS:
                continue
            names = reader.counting.watched
            clocks = {
                name: reader.counting.idle_clock(name, elsewhere=bool(self._clocks(partition.topic, name))) for name in names
            }
            reader.tick("idle-tick", clocks)

    def _clocks(self, topic: str, model: str) -> dict[int, bytes]:
        numbers = [standing.claim.partition.number for standing in self._store.standings(topic)]
        return dict(self._store.gather(topic, model, dict.fromkeys(numbers, ALL), None).clocks)


def _place(partition: Partition) -> tuple[str, int]:
    return partition.topic, partition.number
