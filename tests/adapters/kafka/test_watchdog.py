"""When a worker is said to stand still, by a clock that the test sets."""

from __future__ import annotations

import threading

import pytest
from aiokafka.structs import TopicPartition

from guardian.adapters.kafka.fetching import Standing
from guardian.adapters.kafka.watchdog import Guard, Watch

ZERO = TopicPartition("events", 0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    made = Watch(10.0, clock)
    made.placed()
    return made


def later(watch: Watch, clock: Clock, standing: Standing | None, seconds: float = 6.0) -> str | None:
    clock.now += seconds
    watch.pulse()
    if standing is not None:
        watch.look({ZERO: standing})
    return watch.verdict()


def test_a_loop_that_is_silent_stands_still(watch: Watch, clock: Clock) -> None:
    clock.now += 11
    assert watch.verdict() == "the worker has done nothing for 11 s"


def test_a_position_that_rises_is_progress(watch: Watch, clock: Clock) -> None:
    assert [later(watch, clock, Standing(position, 99, 1)) for position in (1, 2, 3, 4)] == [None] * 4


def test_a_position_that_stays_while_there_is_more_is_not(watch: Watch, clock: Clock) -> None:
    told = [later(watch, clock, Standing(5, 99, answered)) for answered in (1, 2, 3)]
    assert told == [None, None, "events/0 has more, and has not moved from 5 for 12 s"]


def test_going_back_and_forth_is_no_progress(watch: Watch, clock: Clock) -> None:
    told = [later(watch, clock, Standing(position, 99, position)) for position in (5, 9, 5, 9, 5)]
    assert [line is None for line in told] == [True, True, True, False, False]


def test_at_the_end_an_answer_is_enough(watch: Watch, clock: Clock) -> None:
    assert [later(watch, clock, Standing(5, 5, answered)) for answered in (1, 2, 3, 4)] == [None] * 4
    assert [line is None for line in (later(watch, clock, Standing(5, 5, 4)) for _ in range(2))] == [True, False]


def test_before_any_answer_nothing_is_known_of_the_end(watch: Watch, clock: Clock) -> None:
    told = [later(watch, clock, Standing(5, None, None)) for _ in range(3)]
    assert [line is None for line in told] == [True, True, False]


def test_while_the_database_is_away_nothing_has_to_move(watch: Watch, clock: Clock) -> None:
    for _ in range(4):
        watch.excused()
        assert later(watch, clock, Standing(5, 99, 1)) is None


def test_partitions_that_are_not_dealt_out_are_missed(watch: Watch, clock: Clock) -> None:
    watch.look({ZERO: Standing(5, 99, 1)})
    watch.unplaced()
    assert later(watch, clock, None) is None
    watch.unplaced()  # Another rebalance does not start the time anew.
    assert later(watch, clock, None) == "the group has dealt out no partitions for 12 s"
    watch.placed()
    assert later(watch, clock, None) is None


def test_a_partition_that_went_to_somebody_else_is_forgotten(watch: Watch, clock: Clock) -> None:
    watch.look({ZERO: Standing(5, 99, 1)})
    watch.look({})
    assert later(watch, clock, None, 11) is None


def test_the_guard_gives_up_once_and_ends_a_stop_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardian.adapters.kafka.watchdog.GRACE_S", 0.05)
    told, ended, over = [], [], threading.Event()

    def end(code: int) -> None:
        ended.append(code)
        over.set()

    guard = Guard(Watch(-1.0), 0.01, told.append, end)
    guard._thread.join(5)
    guard.stopping(7)
    guard.stopping(8)
    assert over.wait(5)
    guard.close()
    assert (len(told), ended) == (1, [7])


def test_the_guard_leaves_a_process_alone_that_ended_in_time() -> None:
    ended: list[int] = []
    guard = Guard(Watch(1_000.0), 0.01, pytest.fail, ended.append)
    guard.stopping(0)
    guard.close()
    assert guard._deadline is not None
    assert guard._deadline.finished.is_set()
    assert not ended
