"""The engine in memory: neither batching nor arrival order nor copies change what is counted and judged."""

import random

import pytest

from guardian.testing.stories import START, Plot, World, with_copies
from guardian.units import DAY_MS, HOUR_MS, MINUTE_MS

PLOT = Plot(an_hour=24, versions=("1", "2"), delay=HOUR_MS)
EVENTS = PLOT.events()


@pytest.fixture(scope="module")
def outcome():
    return World().run(EVENTS)


def test_the_story_has_something_to_say(outcome):
    assert {row["verdict"] for row in outcome.finals.values()} == {"violated", "satisfied", "inconclusive"}
    assert {row["state"] for row in outcome.alerts.values()} == {"resolved", "firing"}
    assert [row["state"] for row in outcome.requests.values()] == ["requested"]
    assert outcome.total("superseded") > 10
    assert outcome.announced
    assert any(row["revision"] > 1 for row in outcome.verdicts)
    assert {row["reason"] for row in outcome.verdicts} >= {"immature-labels"}


@pytest.mark.parametrize("batch", [1, 3, 7, 50])
def test_batching_changes_nothing(outcome, batch):
    assert World().run(EVENTS, batch) == outcome


def test_every_event_counts_once_in_its_partition(outcome):
    predictions = PLOT.hours * PLOT.an_hour * 2
    assert outcome.total("counted") == predictions
    assert sum(outcome.fates.values()) == len(EVENTS)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_without_late_losses_and_with_every_event_twice_ends_the_same(outcome, seed):
    shuffled = with_copies(EVENTS, random.Random(seed), 100 * MINUTE_MS)
    got = World().run(shuffled, (40, 333, 5000)[seed % 3])
    assert got.total("too-late") == 0
    assert got.panes == outcome.panes
    assert got.finals == outcome.finals
    assert got.standing == outcome.standing
    assert got.total("duplicate") + got.total("superseded") == len(EVENTS) + outcome.total("superseded")
    for fate in ("counted", "joined", "before-prediction", "beyond-horizon", "unmatched"):
        assert got.total(fate) == outcome.total(fate)


@pytest.mark.parametrize("batch", [1, 33])
def test_batching_changes_nothing_in_any_other_order_either(batch):
    shuffled = with_copies(EVENTS, random.Random(batch), 9 * HOUR_MS)
    whole = World().run(shuffled)
    assert whole.total("too-late") > 0
    assert sum(whole.fates.values()) == len(shuffled)
    assert World().run(shuffled, batch) == whole


@pytest.mark.parametrize("batch", [1, 100])
def test_events_told_backwards_are_mostly_too_late_and_each_is_accounted_for(batch):
    backwards = World().run(EVENTS[::-1], batch)
    assert backwards.total("too-late") > len(EVENTS) / 3
    assert sum(backwards.fates.values()) == len(EVENTS)
    assert backwards == World().run(EVENTS[::-1])


def test_the_clock_of_a_log_that_is_sent_again_whole_stands_still(outcome):
    world = World()
    world.run(EVENTS)
    before = world.engine.clocks
    world.tell(EVENTS).drain()
    got = world.outcome()
    assert world.engine.clocks == before
    assert got.panes == outcome.panes
    assert got.verdicts == outcome.verdicts
    assert got.alerts == outcome.alerts
    assert got.total("too-late") + got.total("duplicate") == outcome.total("duplicate") + len(EVENTS)
    assert before["loans"] < START + DAY_MS
