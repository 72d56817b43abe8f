"""What is said of partitions: halted ones, lost records, and how far counting is behind."""

import pytest

from guardian.engine.partition_check import check_partitions
from guardian.engine.ports import Claim, Partition, Standing

TOPIC = "guardian.events"


def standing(number, next_offset, status="running"):
    return Standing(Claim(Partition(TOPIC, number), 1, next_offset, 0), status, "", "me")


def said(standings, extents, batch=10):
    return [(each.check, each.state.value, each.what, each.hint) for each in check_partitions(standings, extents, batch)]


def test_what_is_counted_to_the_end_is_well():
    assert said([standing(0, 7), standing(1, 0)], {0: (0, 7), 1: (0, 0)}) == [
        ("lag", "ok", "partitions: 2, records to be counted: 0", "")
    ]


@pytest.mark.parametrize(("end", "state"), [(107, "ok"), (108, "warn")])
def test_more_than_ten_batches_behind_is_worth_a_look(end, state):
    ((_, found, what, hint),) = said([standing(0, 7)], {0: (0, end)})
    assert (found, what) == (state, f"partitions: 1, records to be counted: {end - 7}")
    assert ("run more of them" in hint) is (state == "warn")


def test_records_that_nobody_counts_ask_for_a_worker():
    ((_, state, what, hint),) = said([], {0: (3, 5), 1: (0, 1)})
    assert (state, hint) == ("warn", "run guardian worker")
    assert "records to be counted: 3, and none was" in what
    assert said([], {0: (0, 0)})[0][1] == "ok"


def test_what_was_deleted_before_it_was_counted_is_lost_and_not_behind():
    lost, lag = said([standing(0, 7)], {0: (9, 12)})
    assert lost[:3] == (f"partition {TOPIC}/0", "fail", "2 records were deleted before they were counted")
    assert lag[2].endswith("to be counted: 3")


def test_a_halted_partition_is_told_with_its_command():
    halted, _ = said([standing(0, 7), standing(3, 9, "halted")], {0: (0, 7), 3: (0, 20)})
    assert halted[:2] == (f"partition {TOPIC}/3", "fail")
    assert "halted at offset 9" in halted[2]
    assert "guardian topics resume 3" in halted[3]


def test_a_log_that_ends_before_what_is_counted_is_another_log():
    other, _ = said([standing(0, 7)], {0: (0, 6)})
    assert other[1] == "fail"
    assert "ends at 6, and 7 is counted next" in other[2]
