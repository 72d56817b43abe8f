"""Counts from rows, checked by hand on small tables of each task."""

import numpy as np
import pytest

from guardian.catalog.layout import layout_of
from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.testing.counts import counts_from_rows
from guardian.units import FIXED_POINT

SEX = CategoricalColumn("sex", ("1", "2"))
AGE = NumericColumn("age", (30.0, 50.0), 18.0, 80.0)


def binary(**columns):
    p = Parameters("binary_classification", (AGE, SEX), ("no", "yes"), 1, None, (("sex",),), horizon_panes=2)
    return counts_from_rows(p, columns, ["yes", "no", "yes"], [0.29, None, 1.0], ["yes", "no", None], [2, 0, None])


def test_cells_of_columns():
    counts = binary(age=[30, 17.99, float("nan")], sex=[1.0, "x", None])
    assert counts.part("column/age").tolist() == [0, 1, 0, 1, 0, 1]
    assert counts.part("column/sex").tolist() == [1, 0, 1, 1]
    assert binary().part("column/sex").tolist() == [0, 0, 0, 3]


def test_edges_belong_to_the_bin_on_their_right_and_the_ends_are_inside():
    p = Parameters("regression", (AGE,), (), -1, NumericColumn("prediction", (), 0, 1), (), 0)
    counts = counts_from_rows(p, {"age": [18, 29.9, 30, 49.9, 50, 80, 80.1]}, [0.5] * 7)
    assert counts.part("column/age").tolist() == [2, 2, 2, 0, 1, 0]


def test_a_binary_models_outputs_and_labels():
    counts = binary(sex=[1, 2, 9])
    # 0.29 lies in bin 29 although 100 * 0.29 is 28.999999999999996.
    assert np.argwhere(counts.part("outcome/")).tolist() == [[0, 0, 100], [0, 1, 29], [0, 1, 99]]
    assert np.argwhere(counts.part("outcome/sex")).tolist() == [[0, 1, 29], [1, 0, 100], [2, 1, 99]]
    assert np.argwhere(counts.part("labels/")).tolist() == [[0, 0, 100, 0], [0, 1, 29, 1]]
    assert np.argwhere(counts.part("labels/sex")).tolist() == [[0, 1, 29, 1], [1, 0, 100, 0]]
    score = round(0.29 * FIXED_POINT)
    assert counts.part("sums/").tolist() == [[[0, 0], [score, round(score * score / FIXED_POINT)]]]
    assert counts.part("delay/").tolist() == [1, 0, 1]
    assert (counts.predictions, counts.labelled) == (3, 2)


def test_a_multiclass_models_outputs_and_labels():
    p = Parameters("multiclass_classification", (), ("a", "b"), -1, None, (), horizon_panes=0)
    counts = counts_from_rows(p, {}, ["a", "b", "x", "x"], [0.5, 0.5, 0.9, 0.9], ["a", "a", "x", "b"])
    assert counts.part("outcome/").sum(axis=(0, 2)).tolist() == [1, 1, 2]
    assert counts.part("labels/").tolist() == [[[1, 0, 0], [1, 0, 0], [0, 1, 1]]]
    assert counts.part("calibration/")[0, 50].tolist() == [1, 1]
    assert counts.part("calibration/")[0, 90].tolist() == [2, 0]  # A class the reference lacks is never right.


def test_a_regressions_sums_are_fixed_point_of_the_unit():
    p = Parameters("regression", (), (), -1, NumericColumn("prediction", (2_000.0,), 0.0, 5_000.0), (), 0, unit=1_000.0)
    counts = counts_from_rows(p, {}, [1_500.0, 3_000.0, 9_000.0], None, [2_000.0, 1_000.0, None])
    one = FIXED_POINT
    assert counts.part("outcome/").tolist() == [[1, 1, 0, 1, 0]]
    assert counts.part("sums/").tolist() == [[2, 1.5 * one, 2.5 * one, 4.25 * one, 3 * one, 5 * one]]


def test_vectors_are_the_layouts():
    counts = binary(age=[30, 40, 50], sex=[1, 2, 1])
    for space in (layout_of(counts.parameters).inputs, layout_of(counts.parameters).labels):
        vector = counts.vector(space)
        assert vector.shape == (space.size,)
        for part in space.parts:
            assert vector[part.offset : part.offset + part.size].tolist() == counts.part(part.name).ravel().tolist()
            assert counts.part(part.name).shape == part.shape


def test_numpys_values_count_as_pythons():
    p = Parameters("binary_classification", (SEX,), ("0", "1"), 1, None, (), 0)
    rows = counts_from_rows(p, {"sex": np.array([1, 2])}, np.array([1.0, 0.0]), np.array([0.5, np.nan]), np.array([1, 0]))
    assert rows.part("column/sex").tolist() == [1, 1, 0, 0]
    assert rows.part("labels/")[0, 1, 50, 1] == 1


def test_what_cannot_be_counted_is_refused():
    p = Parameters("binary_classification", (), ("0", "1"), 1, None, (), horizon_panes=1)
    with pytest.raises(ValueError, match="not in tuple"):
        counts_from_rows(p, {}, ["2"])
    with pytest.raises(IndexError):
        counts_from_rows(p, {}, ["1"], None, ["1"], [2])
    with pytest.raises(KeyError):
        counts_from_rows(p, {}, ["1"]).part("calibration/")
    with pytest.raises(ValueError, match="read-only"):
        counts_from_rows(p, {}, ["1"]).part("outcome/")[0] = 1
