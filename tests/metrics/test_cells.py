"""Cells for judging: the walk to tenths, merging to 1 %, where strays go, and which part is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.metrics.base import Subject, Undefined, Why
from guardian.metrics.cells import SCORE, pair, stored
from guardian.testing.counts import TableCounts, counts_from_rows

WHAT = Subject(column="c")
histogram = st.lists(st.integers(0, 1_000), min_size=2, max_size=30).filter(any)


def numeric(bins, below=0, above=0, missing=0) -> TableCounts:
    column = NumericColumn("c", tuple(float(i) for i in range(1, len(bins))), 0.0, float(len(bins)))
    parameters = Parameters("regression", (column,), (), -1, None, (), 0)
    cells = np.array([*bins, below, above, missing], np.int64)
    return TableCounts(parameters, int(cells.sum()), 0, {"column/c": cells})


def categories(cells, new=0, missing=0) -> TableCounts:
    column = CategoricalColumn("c", tuple(f"{i:03d}" for i in range(len(cells))))
    parameters = Parameters("regression", (column,), (), -1, None, (), 0)
    array = np.array([*cells, new, missing], np.int64)
    return TableCounts(parameters, int(array.sum()), 0, {"column/c": array})


def to(counts: TableCounts) -> list[int]:
    return pair(counts, counts, WHAT).grouping.to.tolist()


def test_twenty_equal_bins_become_ten():
    assert to(numeric([50] * 20))[:20] == [i // 2 for i in range(20)]


def test_a_cell_closes_only_when_it_reaches_its_tenth():
    assert to(numeric([49, 50, 51, 50] + [50] * 16))[:4] == [0, 0, 0, 1]


def test_a_heavy_bin_takes_its_tenths_with_it():
    assert to(numeric([10, 35, 3, 17, 35]))[:5] == [0, 1, 2, 2, 3]


def test_a_walk_that_would_leave_one_cell_gives_way():
    assert to(numeric([7, 93]))[:2] == [0, 1]


def test_rare_bins_join_their_smaller_neighbour():
    # The walk gives cells of 50, 0.5, 20 and 29.5 %: the second goes down or up, to the smaller.
    assert to(numeric([5_000, 50, 1_950, 3_000]))[:4] == [0, 1, 1, 2]
    assert to(numeric([1_990, 10, 8_000]))[:3] == [0, 0, 1]


def test_strays_of_a_number_go_to_the_end_cells():
    got = pair(numeric([50] * 20, below=3, above=4), numeric([50] * 20), WHAT)
    assert got.grouping.to[-2:].tolist() == [0, 9]
    assert got.counts().tolist() == [103, *[100] * 8, 104]
    assert got.stray_shares() == {"below": round(3 / 1007, 11), "above": round(4 / 1007, 11)}


def test_a_single_bin_is_compared_with_what_lies_outside():
    got = pair(numeric([90], below=4, above=6), numeric([500]), WHAT)
    assert (got.grouping.counts.tolist(), got.counts().tolist(), got.fit) == ([500, 0], [90, 10], False)


def test_the_rarest_categories_merge_two_by_two_and_take_new_ones():
    # 0.5, 0.4, 0.3 and 98.8 %, and (new) with none: new + 0.3, then + 0.4, then + 0.5.
    assert to(categories([50, 40, 30, 9_880])) == [0, 0, 0, 1, 0]
    # Nothing rare but (new): it joins the rarest.
    assert to(categories([500, 300, 200])) == [0, 1, 2, 2]


def test_two_cells_always_remain():
    assert to(categories([1_000])) == [0, 1]
    assert to(categories([1_000, 1])) == [0, 1, 1]


@given(histogram, st.booleans())
def test_every_cell_holds_one_percent_or_two_are_left(cells, ordered):
    counts = numeric(cells) if ordered else categories(cells)
    grouping = pair(counts, counts, WHAT).grouping
    assert grouping.counts.sum() == sum(cells) == grouping.n
    assert len(grouping.counts) == 2 or grouping.counts.min() >= 0.01 * sum(cells)
    assert grouping.least == grouping.counts.min() / sum(cells)
    assert grouping.shares.sum() == pytest.approx(1)
    inside = grouping.to[: len(cells)]
    if ordered:
        assert (np.diff(inside) >= 0).all()  # Each cell is a run of bins.
        assert len(grouping.counts) <= 10 or len(np.unique(inside)) == len(grouping.counts)
    assert set(grouping.to) == set(range(len(grouping.counts)))


@given(histogram, histogram)
def test_cells_depend_on_the_reference_alone(reference, live):
    size = max(len(reference), len(live))
    reference, live = (x + [0] * (size - len(x)) for x in (reference, live))
    own = pair(numeric(reference), numeric(reference), WHAT).grouping
    other = pair(numeric(live), numeric(reference), WHAT)
    assert other.grouping is own  # Found once.
    assert other.counts().sum() == sum(live)


def binary() -> TableCounts:
    p = Parameters("binary_classification", (CategoricalColumn("c", ("a",)),), ("0", "1"), 1, None, (), 0)
    return counts_from_rows(p, {"c": ["a", None, "b"]}, [1, 0, 1], [0.995, 0.0, None])


def test_outputs_of_a_classifier():
    score, said = (stored(binary(), Subject(output=name)) for name in ("score", "prediction"))
    assert score.column is SCORE
    assert (score.inside[0], score.inside[99], score.n, score.missing, score.ordered) == (1, 1, 2, 1, True)
    assert (said.inside.tolist(), said.strays.tolist(), said.missing, said.ordered) == ([1, 2], [], 0, False)
    column = stored(binary(), WHAT)
    assert (column.inside.tolist(), column.strays.tolist(), column.missing) == ([1], [1], 1)


def test_outputs_of_a_regression():
    p = Parameters("regression", (), (), -1, NumericColumn("prediction", (1.0,), 0.0, 2.0), (), 0)
    counts = counts_from_rows(p, {}, [0.5, 1.0, 3.0, -1.0, None])
    said = stored(counts, Subject(output="prediction"))
    assert (said.inside.tolist(), said.strays.tolist(), said.missing, said.ordered) == ([1, 1], [1, 1], 1, True)
    assert stored(counts, Subject(output="score")) == Undefined(Why.NOT_DEFINED)


def test_outputs_of_a_multiclass_model():
    p = Parameters("multiclass_classification", (), ("a", "b"), -1, None, (), 0)
    said = stored(counts_from_rows(p, {}, ["a", "b", "x"], [0.5, 0.6, 0.7]), Subject(output="prediction"))
    assert (said.inside.tolist(), said.strays.tolist()) == ([1, 1], [1])


def test_a_score_nobody_sent_is_named_as_such():
    silent = counts_from_rows(binary().parameters, {}, [1, 0])
    score = Subject(output="score")
    assert pair(silent, binary(), score) == Undefined(Why.NO_SCORE)
    assert pair(binary(), silent, score) == Undefined(Why.NO_SCORE, 2)
    nothing = counts_from_rows(binary().parameters, {}, [])
    assert pair(nothing, binary(), score) == Undefined(Why.NO_DATA)
    assert pair(binary(), None, score) == Undefined(Why.NO_REFERENCE)


def test_an_uncounted_column_is_an_error():
    with pytest.raises(KeyError):
        stored(binary(), Subject(column="nobody"))
