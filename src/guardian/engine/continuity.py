"""Which records of a delivery are counted: never one twice, never one past a hole that a second reading has not confirmed.

A broker's client may deliver anything: what it delivered before, what a rebalance made it forget, the middle without the
beginning. Pure: takes where counting stands and what came, gives what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardian.engine.ports import LogRecord


class Answer(StrEnum):
    """What is to be done with a delivery."""

    TAKE = "take"
    """Count `records[first:last]`."""
    STALE = "stale"
    """All of it was counted before."""
    REREAD = "reread"
    """Something is missing before it: read again from where counting stands."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What is to be done with a delivery, and why.

    Attributes:
        answer: What to do.
        first: The first record to be counted.
        last: One past the last record to be counted; what comes after it follows a hole.
        hole: The offsets [from, to) that this delivery leaves out before what is next: confirmed where they are taken over.
    """

    answer: Answer
    first: int = 0
    last: int = 0
    hole: tuple[int, int] | None = None


def admit(expected: int, records: Sequence[LogRecord], reread_hole: tuple[int, int] | None) -> Admission:
    """Say what to do with records of one partition.

    Args:
        expected: The offset to be counted next.
        records: What was delivered, offsets ascending; not empty.
        reread_hole: The hole because of which the log was read again from `expected`: one that is still there after that is the
            log's own (retention, compaction, a transaction's marker); None where it was not read again.
    """
    if records[-1].offset < expected:
        return Admission(Answer.STALE)
    first = next(i for i, record in enumerate(records) if record.offset >= expected)
    begin = records[first].offset
    hole = (expected, begin) if begin > expected else None
    if hole is not None and hole != reread_hole:
        return Admission(Answer.REREAD, hole=hole)
    return Admission(Answer.TAKE, first, _run(records, first), hole)


def _run(records: Sequence[LogRecord], first: int) -> int:
    """Return one past the last record of the run of consecutive offsets that starts at `first`."""
    begin, last = records[first].offset, len(records) - 1
    if records[last].offset - begin == last - first:  # Offsets ascend, so nothing is left out in between.
        return len(records)
    return next(i for i in range(first + 1, len(records)) if records[i].offset - begin != i - first)
