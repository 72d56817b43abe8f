"""Where the partitions of a log stand: which are halted, what was lost, how far counting is behind.

Takes what the store has counted and how far the broker's log goes. Gives findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardian.engine.findings import fail, ok, warn
from guardian.engine.halt import HALTED, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardian.engine.findings import Finding
    from guardian.engine.ports import Standing

BATCHES_BEHIND: Final = 10  # More than so many batches to count are no longer what is just under way.


def check_partitions(standings: Sequence[Standing], extents: Mapping[int, tuple[int, int]], batch: int) -> Iterator[Finding]:
    """Yield what is wrong with single partitions, and one finding of how far all of them are behind.

    Args:
        standings: Where the counted partitions stand.
        extents: By number, a partition's earliest offset and the one that its next record will get.
        batch: Events that are counted at once.
    """
    counted = {standing.claim.partition.number: standing for standing in standings}
    for number, standing in counted.items():
        yield from _flaws(standing, extents.get(number))
    behind = sum(max(0, end - max(earliest, _next(counted.get(number)))) for number, (earliest, end) in extents.items())
    what = f"partitions: {len(extents)}, records to be counted: {behind:,}"
    if behind and not counted:
        yield warn("lag", f"{what}, and none was counted so far", "run guardian worker")
    elif behind > BATCHES_BEHIND * batch:
        yield warn("lag", what, "see that workers run, or run more of them: one for each partition at most")
    else:
        yield ok("lag", what)


def _next(standing: Standing | None) -> int:
    return standing.claim.next_offset if standing else 0


def _flaws(standing: Standing, extent: tuple[int, int] | None) -> Iterator[Finding]:
    partition = standing.claim.partition
    check, next_offset = f"partition {name_of(partition)}", standing.claim.next_offset
    look = f"see its alert LogHalted, find out what became of the log, then guardian topics resume {partition.number}"
    if standing.status == HALTED:
        yield fail(check, f"it is halted at offset {next_offset}: its log is not the one that was counted", look)
    elif extent is not None and extent[1] < next_offset:
        yield fail(check, f"its log ends at {extent[1]}, and {next_offset} is counted next: it is another log", look)
    if extent is not None and extent[0] > next_offset:
        lost = extent[0] - next_offset
        hint = "run workers now, and raise the topic's retention.ms; the audit log will tell of the gap"
        yield fail(check, f"{lost:,} records were deleted before they were counted", hint)
