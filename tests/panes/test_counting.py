"""Counts of coded rows against the row-by-row oracle, bit for bit, for every task."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.catalog.layout import layout_of
from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.panes.coding import (
    NO_CLASS,
    OTHER,
    SWEPT_VALUES_MIN,
    VALUE_UNITS_MAX,
    Coder,
    class_hashes,
    class_indexes,
    coding_of,
    fixed_square,
    numeric_cells,
    score_bins,
)
from guardian.panes.counting import Labelled, code_rows, input_counts, label_counts, regression_labels
from guardian.panes.pane import Sparse
from guardian.testing.counts import counts_from_rows
from guardian.units import FIXED_POINT

SEX = CategoricalColumn("sex", ("1", "2", "bool:true"))
RACE = CategoricalColumn("race", ("a", "b"))
AGE = NumericColumn("age", (30.0, 50.0), 18.0, 80.0)
WORTH = NumericColumn("prediction", (-2.5, 0.0, 10.0), -40.0, 40.0)
SEGMENTS = (("sex",), ("race",), ("sex", "race"))
COLUMNS = (AGE, SEX, RACE)
BINARY = Parameters("binary_classification", COLUMNS, ("no", "yes"), 1, None, SEGMENTS, horizon_panes=3)
MANY = Parameters("multiclass_classification", COLUMNS, ("1", "2", "bool:true"), -1, None, SEGMENTS, horizon_panes=3)
AMOUNT = Parameters("regression", COLUMNS, (), -1, WORTH, SEGMENTS, horizon_panes=3, unit=1000.0)

ages = st.sampled_from((None, 17.9, 18, 29.999, 30.0, 50, 80, math.nextafter(80, 99), 1e300, -1e300)) | st.floats(0, 100)
sexes = st.sampled_from((None, 1, "1", 1.0, True, "bool:true", False, 2, "2", 2.5, "x", 10**30, ""))
races = st.sampled_from((None, "a", "b", "(new)", "(missing)", 0))
scores = st.none() | st.sampled_from((0.0, 0.01, 0.29, 0.57, 0.58, 0.99, 1.0)) | st.floats(0, 1)
delays = st.integers(0, 3)
kinds = st.sampled_from((1, "1", 1.0, 2, "2", True, False, "new", 3.5))
worths = st.floats(-2e8, 2e8) | st.sampled_from((-40.0, 40.0, 0.0, -2.5, 10.0, 1e-9))  # Squares of a dozen stay within 62 bits.
TASKS = {
    "binary": (BINARY, st.sampled_from(("no", "yes")), st.sampled_from(("no", "yes"))),
    "multiclass": (MANY, kinds, kinds),
    "regression": (AMOUNT, worths, worths),
}


def table(predictions, labels):
    row = st.tuples(ages, sexes, races, predictions, scores, st.none() | labels, delays)
    return st.lists(row, max_size=12)


def counted(p: Parameters, rows, batches=1):
    """Count rows through the counting code, in some batches, as (inputs, labels)."""
    inputs, labels = Sparse.zero(), Sparse.zero()
    for batch in (rows[i::batches] for i in range(batches)):
        cells = code_rows(
            p,
            {
                "age": [np.nan if r[0] is None else r[0] for r in batch],
                "sex": [r[1] for r in batch],
                "race": [r[2] for r in batch],
            },
            [r[3] for r in batch],
            np.array([np.nan if r[4] is None else r[4] for r in batch], np.float64),
        )
        assert not cells.refused.any()
        inputs = inputs.merge(dict(input_counts(p, np.zeros(len(batch), np.int64), cells)).get(0, Sparse.zero()))
        known = np.array([r[5] is not None for r in batch], bool)
        raw = [r[5] for r in batch if r[5] is not None]
        truth = regression_labels(p, raw) if p.task == "regression" else class_indexes(p, class_hashes(raw))
        lags = np.array([r[6] for r in batch if r[5] is not None], np.int64)
        labelled = Labelled(cells.location_cells(p)[known], cells.values[known], truth, lags, np.ones(len(raw), np.int64))
        labels = labels.merge(dict(label_counts(p, np.zeros(len(raw), np.int64), labelled)).get(0, Sparse.zero()))
    return inputs, labels


@pytest.mark.parametrize("each", [0, 1 << 20], ids=["sorted", "written-out"])
@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_counts_equal_counting_row_by_row_written_out_or_sorted(task, each, data):
    p, predictions, labels = TASKS[task]
    rows = data.draw(table(predictions, labels))
    age, sex, race, said, score, truth, delay = zip(*rows, strict=True) if rows else ((),) * 7
    want = counts_from_rows(p, {"age": age, "sex": sex, "race": race}, said, score, truth, delay)
    layout = layout_of(p)
    for batches in (1, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("guardian.panes.pane.DENSE_CELLS_EACH", each)
            inputs, counted_labels = counted(p, rows, batches)
        assert inputs.dense(layout.inputs.size).tolist() == want.vector(layout.inputs).tolist()
        assert counted_labels.dense(layout.labels.size).tolist() == want.vector(layout.labels).tolist()


@pytest.mark.parametrize("each", [0, 1 << 20], ids=["sorted", "written-out"])
def test_each_pane_is_counted_as_if_it_were_alone(each, monkeypatch):
    monkeypatch.setattr("guardian.panes.pane.DENSE_CELLS_EACH", each)
    rng = np.random.default_rng(5)
    n, panes = 60, np.array([3, 9, 1 << 41])
    columns = {
        "age": rng.uniform(0, 99, n),
        "sex": rng.choice(["1", "2", "x", None], n).tolist(),
        "race": rng.choice(["a", "b"], n).tolist(),
    }
    cells = code_rows(BINARY, columns, rng.choice(["no", "yes"], n).tolist(), rng.random(n))
    keys = rng.choice(panes, n)
    found = dict(input_counts(BINARY, keys, cells))
    for pane in panes.tolist():
        alone = dict(input_counts(BINARY, keys[keys == pane], cells.take(keys == pane)))
        assert alone.keys() == {pane}
        assert found[pane] == alone[pane]
        assert alone[pane].counts.sum() == (len(COLUMNS) + 1 + len(SEGMENTS)) * (keys == pane).sum()
    assert dict(input_counts(BINARY, keys[:0], cells.take(np.zeros(n, np.bool_)))) == {}


@pytest.mark.parametrize("task", TASKS)
def test_a_label_taken_back_leaves_nothing(task):
    p, *_ = TASKS[task]
    rows = 4
    cells = np.arange(rows, dtype=np.int64) * coding_of(p).outcomes
    there = Labelled(cells, np.arange(rows) * 7 - 9, np.arange(rows) % 2, np.arange(rows), np.ones(rows, np.int64))
    back = Labelled(there.cells, there.values, there.labels, there.lags, -there.signs)
    keys = np.zeros(rows, np.int64)
    assert dict(label_counts(p, keys, there))[0].merge(dict(label_counts(p, keys, back))[0]) == Sparse.zero()


def test_keys_of_one_category_are_one_however_written_and_alone_or_mixed():
    coder = Coder(("-3", "007", "1", "bool:true", "x"), new=5, missing=6)
    raw = [1, "1", 1.0, True, "bool:true", False, None, "x", -3, "-3", 7, "7", "007", "y", 1.5, 10**40]
    want = [2, 2, 2, 3, 3, 5, 6, 4, 0, 0, 5, 5, 1, 5, 5, 5]
    assert coder.code(raw).tolist() == want
    assert [coder.code([value])[0] for value in raw] == want
    assert [coder.code([value, None])[0] for value in raw] == want
    assert [coder.code(["x", value])[1] for value in raw] == want
    assert coder.code([]).tolist() == []


def test_a_closed_code_table_remembers_nothing_it_was_asked():
    coder = Coder(("a",), new=1, missing=2)
    sizes = [len(t) for t in (coder._texts, coder._integers, coder._booleans)]
    coder.code(["b", "c"])
    coder.code([5, 6])
    assert [len(t) for t in (coder._texts, coder._integers, coder._booleans)] == sizes


@given(st.lists(kinds, max_size=8))
def test_hashed_classes_are_the_classes_of_their_keys(raw):
    coder = Coder(MANY.classes, new=3, missing=NO_CLASS)
    assert class_indexes(MANY, class_hashes(raw)).tolist() == coder.code(raw).tolist()


def test_where_no_reference_names_the_negative_class_everything_else_is_it():
    bare = Parameters("binary_classification", (), tuple(sorted((OTHER, "yes"))), 1, None, (), 0)
    assert class_indexes(bare, class_hashes(["yes", "no", 0, True])).tolist() == [1, 0, 0, 0]
    assert class_indexes(BINARY, class_hashes(["yes", "no", "maybe"])).tolist() == [1, 0, NO_CLASS]
    assert class_indexes(AMOUNT, class_hashes(["x"])).tolist() == [NO_CLASS]


@given(st.integers(-2 * VALUE_UNITS_MAX * FIXED_POINT, 2 * VALUE_UNITS_MAX * FIXED_POINT))
def test_squares_are_exact_to_half_a_step_at_every_size(value):
    exact = (value * value + FIXED_POINT // 2) >> 20
    assert int(fixed_square(np.array([value]))[0]) == exact


@given(st.floats(0, 1))
def test_score_bins_are_half_open_hundredths(score):
    assert score_bins(np.array([score]))[0] == sum(i / 100 <= score for i in range(1, 100))
    assert score_bins(np.array([np.nan]))[0] == 100


def test_score_bins_beside_every_bound_and_beyond():
    bounds = [i / 100 for i in range(1, 100)]
    near = [at for bound in bounds for at in (math.nextafter(bound, 0), bound, math.nextafter(bound, 1))]
    scores = [*near, 0.0, -0.0, 1.0, 5e-324, -7.5, 7.5, 1e300, -math.inf, math.inf]
    assert score_bins(np.array(scores)).tolist() == [sum(bound <= score for bound in bounds) for score in scores]


def test_many_values_fall_into_the_same_cells_as_few():
    coding = coding_of(BINARY)
    near = [at for edge in (18.0, 30.0, 50.0, 80.0) for at in (math.nextafter(edge, 0), edge, math.nextafter(edge, 99))]
    few = np.array([*near, np.nan, np.inf, -np.inf, 0.0, 1e300])
    many = np.tile(few, SWEPT_VALUES_MIN // len(few) + 1)
    want = numeric_cells(coding, "age", few).tolist()
    assert want[:3] == [3, 0, 0]
    assert numeric_cells(coding, "age", many).reshape(-1, len(few)).tolist() == [want] * (len(many) // len(few))


def test_values_out_of_range_and_what_is_no_class_are_refused():
    edge = VALUE_UNITS_MAX * AMOUNT.unit
    said = [edge, -edge, math.nextafter(edge, math.inf), -1e300, 0.0]
    columns = {"age": [1.0] * 5, "sex": [None] * 5, "race": [None] * 5}
    assert code_rows(AMOUNT, columns, said, np.full(5, np.nan)).refused.tolist() == [False, False, True, True, False]
    said = ["yes", "no", "maybe", True, 1]
    assert code_rows(BINARY, columns, said, np.full(5, np.nan)).refused.tolist() == [False, False, True, True, True]


def test_segments_whose_cells_do_not_fit_a_ledger_row_are_refused():
    wide = tuple(CategoricalColumn(f"c{i}", tuple(f"{k:02}" for k in range(98))) for i in range(4))
    p = Parameters("binary_classification", wide, ("no", "yes"), 1, None, (("c0", "c1", "c2", "c3"),), 1)
    with pytest.raises(ValueError, match="declare fewer segments"):
        coding_of(p)
