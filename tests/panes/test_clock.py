"""The clock's instants and cuts against one that looks at every event, and every millisecond, by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.panes.clock import Spans, first_pane, last_pane_end
from guardian.units import DAY_MS, HOUR_MS

spans = st.builds(Spans, st.integers(1, 12), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
times = st.lists(st.integers(0, 200), max_size=30)


def is_instant(spans: Spans, at: int, kinds: str = "all") -> bool:
    gone = spans.lateness_ms + spans.horizon_ms
    after = (gone, gone + spans.remember_ms) if kinds == "departures" else (0, spans.lateness_ms, gone, gone + spans.remember_ms)
    return any((at - span) % spans.pane_ms == 0 for span in after)


@given(spans, st.integers(-50, 200), st.integers(0, 60))
def test_instants_are_all_and_only_those_after_a_boundary(spans, after, more):
    found = spans.instants(after, after + more)
    assert found == [at for at in range(after + 1, after + more + 1) if is_instant(spans, at)]


@pytest.mark.parametrize("kinds", ["all", "departures"])
@given(spans, st.none() | st.integers(0, 200), times)
def test_cuts_are_before_each_event_that_moves_the_clock_to_an_instant(kinds, spans, clock, times):
    wanted = spans.departures if kinds == "departures" else spans.after_boundary
    pieces = list(spans.cuts(clock, np.array(times, np.int64), wanted))
    assert [i for first, last, _, _ in pieces for i in range(first, last)] == list(range(len(times)))
    now, firsts, befores = clock, {0} if times else set(), []
    for i, time in enumerate(times):
        start = time if now is None else now
        if any(is_instant(spans, at, kinds) for at in range(start + 1, time + 1)):
            firsts.add(i)
        befores.append(start)
        now = max(start, time)
    assert {first for first, _, _, _ in pieces} == firsts
    for first, last, before, after in pieces:
        assert before == befores[first]
        assert after == max(befores[first], *times[first:last])


@given(spans, st.none() | st.integers(0, 200), times, st.integers(0, 30))
def test_however_events_are_batched_the_same_instants_come_before_the_same_events(spans, clock, times, cut):
    def told(batches):
        now, offset, out = clock, 0, []
        for batch in batches:
            for first, _, before, after in spans.cuts(now, np.array(batch, np.int64), spans.after_boundary):
                out += [(at, offset + first) for at in spans.instants(before, after)]
                now = after
            offset += len(batch)
        return out

    assert told([times]) == told([times[:cut], times[cut:]]) == told([[time] for time in times])


@given(spans, st.integers(0, 300), st.integers(-20, 40))
def test_a_pane_is_departed_once_the_clock_is_past_it_by_lateness_and_horizon(spans, clock, pane):
    bounds = spans.bounds(clock)
    gone = (pane + 1) * spans.pane_ms + spans.lateness_ms + spans.horizon_ms
    assert (pane < bounds.live_from) == (gone <= clock)
    assert (pane < bounds.known_from) == (gone + spans.remember_ms <= clock)


@given(spans, st.integers(0, 200), st.integers(0, 60))
def test_bounds_change_at_departures_only(spans, clock, more):
    moved = range(clock + 1, clock + more + 1)
    if not any(is_instant(spans, at, "departures") for at in moved):
        assert spans.bounds(clock) == spans.bounds(clock + more)


@pytest.mark.parametrize(
    ("least", "start"), [(0, 0), (1, DAY_MS), (DAY_MS, DAY_MS), (DAY_MS + 1, 2 * DAY_MS), (2 * DAY_MS - 1, 2 * DAY_MS)]
)
def test_the_first_pane_starts_at_or_after_the_least_time(least, start):
    assert first_pane(least, DAY_MS) == start


@pytest.mark.parametrize(("greatest", "end"), [(0, HOUR_MS), (HOUR_MS - 1, HOUR_MS), (HOUR_MS, 2 * HOUR_MS)])
def test_the_last_pane_is_that_of_the_greatest_time(greatest, end):
    assert last_pane_end(greatest, HOUR_MS) == end
