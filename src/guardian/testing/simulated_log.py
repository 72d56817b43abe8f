"""A broker's log in memory, with everything a real one does to offsets.

Offsets rise; those that the end of a transaction takes, and those of aborted ones, name no record that a reader sees. Retention
removes a prefix. A topic that is deleted and made again begins anew at 0: another generation. What was ever there is kept, for an
oracle to look up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guardian.engine.coverage import digest_of_records

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutOfRangeError(Exception):
    """An offset is asked for that the log does not hold."""


@dataclass(slots=True)
class SimulatedRecord:
    """One record, as `engine.ports.LogRecord` has it; `number` is its place among everything that was ever produced."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    number: int = -1
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Generation:
    """One life of a partition: [earliest, end), and every record that it ever held by its offset."""

    earliest: int = 0
    end: int = 0
    records: dict[int, SimulatedRecord] = field(default_factory=dict)

    def between(self, first: int, until: int) -> list[SimulatedRecord]:
        """Return the records at offsets [first, until), removed ones too."""
        return [self.records[offset] for offset in range(first, until) if offset in self.records]


class SimulatedLog:
    """One partition of a topic.

    >>> log = SimulatedLog()
    >>> log.append(b"k", b"one", 5, number=0); log.leave_hole(1); log.append(b"k", b"two", 6, number=1)
    >>> [record.offset for record in log.fetch(0, 10)], log.ends
    ([0, 2], (0, 3))
    """

    def __init__(self) -> None:
        self.generations = [Generation()]

    @property
    def now(self) -> Generation:
        """The life at hand."""
        return self.generations[-1]

    @property
    def ends(self) -> tuple[int, int]:
        """The earliest offset and the offset that the next record will get."""
        return self.now.earliest, self.now.end

    @property
    def readable_end(self) -> int:
        """One past the last record; behind it there may be ends of transactions."""
        return max(self.now.records, default=-1) + 1

    def append(self, key: bytes | None, value: bytes | None, at: int, *, number: int) -> None:
        """Take a record in at `at`, UTC milliseconds."""
        life = self.now
        life.records[life.end] = SimulatedRecord(life.end, at, key, value, number)
        life.end += 1

    def leave_hole(self, offsets: int) -> None:
        """Use offsets up without a record: the end of a transaction takes one, an aborted one as many as it wrote and one."""
        self.now.end += offsets

    def retain(self, earliest: int) -> None:
        """Remove what is before an offset."""
        self.now.earliest = max(self.now.earliest, min(earliest, self.now.end))

    def recreate(self) -> None:
        """Delete the topic and make it again."""
        self.generations.append(Generation())

    def fetch(self, offset: int, limit: int) -> list[SimulatedRecord]:
        """Return at most `limit` records from an offset on, fewer at the end. Raises OutOfRangeError."""
        life = self.now
        if not life.earliest <= offset <= life.end:
            raise OutOfRangeError(f"offset {offset} is not in [{life.earliest}, {life.end})")
        return life.between(offset, life.end)[:limit]

    def find(self, first: int, until: int, count: int, digest: str) -> int | None:
        """Return the number of the generation, the latest first, that held `count` records of a digest in [first, until)."""
        for number in range(len(self.generations) - 1, -1, -1):
            records = self.generations[number].between(first, until)
            if len(records) == count and digest_of_records(records) == digest:
                return number
        return None

    def held(self, number: int, first: int, until: int) -> Sequence[SimulatedRecord]:
        """Return what a generation held in [first, until)."""
        return self.generations[number].between(first, until)
