"""Runs of the join ledger: bytes there and back, the newest row wins, merges keep what they must and no run passes the cap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.errors import InvalidStateError
from guardian.panes.runs import FAN, Run, add, find
from guardian.panes.runs import PanesOf as Panes

BY_TEN = Panes(pane_ms=10)
rows = st.dictionaries(st.integers(0, 12), st.integers(0, 99), min_size=1, max_size=8)


def run(number: int, held: dict[int, int]) -> Run:
    ids = np.array(sorted(held), np.uint64)
    times = np.array([held[i] for i in sorted(held)], np.int64)
    return Run(number, ids, (times, times * 2), int(times.min()) // 10, int(times.max()) // 10)


def fill(batches, oldest: int = 0) -> tuple[Run, ...]:
    runs: tuple[Run, ...] = ()
    for i, batch in enumerate(batches):
        runs = add(runs, run(2 * i, batch), oldest=oldest, panes_of=BY_TEN, next_number=2 * i + 1)
    return runs


@given(rows)
def test_bytes_round_trip(held):
    one = run(3, held)
    again = Run.from_bytes(3, one.to_bytes())
    assert (again.number, again.low, again.high, len(again)) == (3, one.low, one.high, len(held))
    assert again.ids.tolist() == one.ids.tolist()
    assert [c.tolist() for c in again.columns] == [c.tolist() for c in one.columns]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b"X" + b[1:], lambda b: b[:20], lambda b: b""]
)
def test_damaged_bytes_are_refused(damage):
    with pytest.raises(InvalidStateError):
        Run.from_bytes(1, damage(run(1, {1: 5, 2: 7}).to_bytes()))


@given(st.lists(rows, max_size=12))
def test_the_newest_row_of_an_id_is_found_whatever_was_merged(batches):
    want = {}
    for batch in batches:
        want |= batch
    asked = np.arange(14, dtype=np.uint64)
    found = find(fill(batches), asked, low=0, high=9, width=2)
    assert found.hit.tolist() == [i in want for i in range(14)]
    assert found.columns[0].tolist() == [want.get(i, 0) for i in range(14)]
    assert found.columns[1].tolist() == [2 * want.get(i, 0) for i in range(14)]


@given(st.lists(rows, max_size=12), st.integers(0, 9))
def test_rows_that_are_not_forgotten_are_never_dropped(batches, oldest):
    want = {}
    for batch in batches:
        want |= batch
    found = find(fill(batches, oldest), np.arange(14, dtype=np.uint64), low=oldest, high=9, width=2)
    for i, time in want.items():
        if time // 10 >= oldest:
            assert found.hit[i]
            assert found.columns[0][i] == time


@given(st.lists(rows, max_size=20))
def test_each_run_is_more_than_a_share_of_all_younger_ones(batches):
    sizes = list(map(len, fill(batches)))
    for i, size in enumerate(sizes):
        assert size * (FAN - 1) > sum(sizes[i + 1 :])


@given(st.lists(rows, max_size=20))
def test_no_merge_makes_a_run_above_the_cap(batches):
    from guardian.panes import runs as module

    cap, module.RUN_ROWS_MAX = module.RUN_ROWS_MAX, 9
    try:
        assert max(map(len, fill(batches)), default=0) <= 9
    finally:
        module.RUN_ROWS_MAX = cap


def test_a_large_ledger_has_a_larger_cap(monkeypatch):
    from guardian.panes import runs as module

    monkeypatch.setattr(module, "RUN_ROWS_MAX", 4)
    monkeypatch.setattr(module, "RUN_ROWS_MAX_LARGE", 100)
    batches = [{i: 1} for i in range(40)]
    assert max(map(len, fill(batches))) <= 4
    monkeypatch.setattr(module, "LARGE", 3)
    assert max(map(len, fill(batches))) > 4
