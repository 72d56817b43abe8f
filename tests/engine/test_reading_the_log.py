"""What the engine takes from the log: every offset, in order, and never more at a time than it was told to."""

import pytest

from guardian.engine.engine import LogGapError
from guardian.engine.fates import Fate, fate_of
from guardian.testing.stories import Plot, World
from guardian.units import HOUR_MS

EVENTS = Plot(hours=2, an_hour=12, delay=HOUR_MS).events()


def lose(log, first_offset: int) -> None:
    """Remove a whole append, as somebody would who deletes a row of the inbox."""
    at = log._firsts.index(first_offset)
    del log._firsts[at], log._rows[at]


@pytest.mark.parametrize("limit", [3, 10, 25, 1_000])
@pytest.mark.parametrize("lost", [0, 10, 20])
def test_a_log_that_skips_an_offset_stops_the_engine_before_anything_behind_it_is_counted(lost, limit):
    world = World().activate()
    for first in range(0, 40, 10):
        world.tell(EVENTS[first : first + 10])
    lose(world.log, lost)
    with pytest.raises(LogGapError, match=f"{lost + 10} where {lost} ") as caught:
        world.drain(limit)
    assert fate_of(caught.value) is Fate.STOP
    assert caught.value.code == "log.gap"
    assert world.engine.claim.next_offset <= lost
    assert sum(world.outcome().fates.values()) == world.engine.claim.next_offset


@pytest.mark.parametrize("an_append", [1, 7, 100])
@pytest.mark.parametrize("limit", [1, 5, 13])
def test_a_step_takes_as_many_events_as_it_is_told_however_the_log_holds_them(an_append, limit):
    world = World().activate()
    for first in range(0, len(EVENTS), an_append):
        world.tell(EVENTS[first : first + an_append])
    taken = []
    while step := world.engine.step(limit):
        taken.append(step.events)
        assert step.next_offset == sum(taken) == world.engine.claim.next_offset
    whole, rest = divmod(len(EVENTS), limit)
    assert taken == [limit] * whole + [rest] * (rest > 0)
    assert sum(world.outcome().fates.values()) == len(EVENTS)


def test_a_log_that_lost_counted_events_at_its_end_is_not_read_on():
    world = World().activate()
    for first in range(0, 40, 10):
        world.tell(EVENTS[first : first + 10])
    world.drain(10)
    lose(world.log, 30)
    world.log._end = 30  # As the inbox says it, which knows only the rows that it has.
    with pytest.raises(LogGapError, match="ends at offset 30 and 40 events") as caught:
        world.start()
    assert fate_of(caught.value) is Fate.STOP
