"""Which groups are judged, and what is said where there are too few."""

from dataclasses import replace

import pytest

from guardian.catalog.parameters import CategoricalColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject, Undefined, Why
from guardian.metrics.fairness.names import METRICS
from guardian.metrics.registry import measure_of
from guardian.testing.counts import counts_from_rows

SEX = CategoricalColumn("sex", ("f", "m", "x"))
AGE = CategoricalColumn("age", ("old", "young"))
BINARY = Parameters("binary_classification", (SEX, AGE), ("0", "1"), 1, None, (("sex",), ("sex", "age")), 1)
MULTI = Parameters("multiclass_classification", (SEX,), ("a", "b"), -1, None, (("sex",),), 1)
LABELLED = [m.name for m in METRICS if m.needs_labels]


def rows(*groups):
    """Return counts of (sex, said, true, how many) each."""
    said, true, who = [], [], []
    for sex, p, y, many in groups:
        said += [p] * many
        true += [y] * many
        who += [sex] * many
    return counts_from_rows(BINARY, {"sex": who, "age": ["old"] * len(who)}, said, None, true)


def measure(name, counts, by="sex", size=1):
    name = name if name.startswith("fairness.") else f"fairness.{name}"
    return measure_of(name)(counts, None, Subject(by=by), Options(group_size=size))


TWO = (("f", 1, 1, 30), ("f", 0, 0, 30), ("m", 1, 1, 20), ("m", 1, 0, 20), ("m", 0, 0, 4), ("m", 0, 1, 4))


def test_a_small_group_is_named_and_kept_out_of_the_extreme():
    counts = rows(*TWO, ("x", 0, 0, 9))
    got = measure("demographic_parity_ratio", counts, size=10)
    assert got.detail["too_small"] == {"x": 9}
    assert got.detail["between"] == ["f", "m"]
    assert got.value == pytest.approx(0.5 / (40 / 48))
    assert got.n == 108
    assert measure("demographic_parity_ratio", counts, size=9).value == 0.0


def test_a_group_is_measured_in_the_metrics_own_denominator():
    counts = rows(*TWO)
    found = {name: measure(name, counts, size=24) for name in LABELLED}
    assert isinstance(found["fairness.accuracy_gap"], Measured)
    assert isinstance(found["fairness.true_positive_rate_difference"], Measured)  # f: 30 positives, m: 24.
    assert measure("true_positive_rate_difference", counts, size=25).detail == {
        "groups": {"f": {"n": 30}},
        "too_small": {"m": 24, "x": 0},
    }


def test_people_without_a_group_make_one_when_there_are_any():
    counts = rows(*TWO, (None, 1, 1, 12), ("other", 0, 0, 11))
    got = measure("selection_rate", counts, size=10)
    assert list(got.detail["groups"]) == ["f", "m", "(new)", "(missing)"]
    assert got.value == 0.0
    assert measure("selection_rate", rows(*TWO)).detail["too_small"] == {"x": 0}


def test_a_group_of_two_columns_is_named_by_both():
    got = measure("selection_rate", rows(*TWO), by="sex,age")
    assert list(got.detail["groups"]) == ["f,old", "m,old"]
    assert got.detail["too_small"] == {"f,young": 0, "m,young": 0, "x,old": 0, "x,young": 0}


@pytest.mark.parametrize("name", [m.name for m in METRICS])
def test_one_group_is_no_comparison(name):
    got = measure(name, rows(*TWO), size=49)
    assert isinstance(got, Undefined)
    assert got.why == Why.GROUPS_TOO_SMALL
    assert got.n > 0
    assert got.detail["too_small"]


@pytest.mark.parametrize("name", [m.name for m in METRICS])
def test_without_a_reference_no_group_is_known(name):
    """Everyone is `(new)` then, or `(missing)`: two cells, and no two groups."""
    bare = replace(BINARY, columns=tuple(CategoricalColumn(column.name, ()) for column in BINARY.columns))
    who = {"sex": ["f", None] * 50, "age": ["old"] * 100}
    counts = counts_from_rows(bare, who, [1, 0] * 50, None, [1, 1, 0, 0] * 25)
    assert measure(name, counts) == Undefined(Why.NO_REFERENCE, 100)


@pytest.mark.parametrize("name", LABELLED)
def test_without_labels_there_is_no_number(name):
    counts = counts_from_rows(BINARY, {"sex": ["f", "m"], "age": ["old"] * 2}, [1, 0], None, [None, None])
    assert measure(name, counts).why == Why.NO_LABELS


def test_without_predictions_there_is_no_selection():
    counts = counts_from_rows(BINARY, {"sex": [], "age": []}, [])
    assert measure("demographic_parity_ratio", counts).why == Why.NO_DATA


def test_without_a_positive_truth_there_is_one_class():
    counts = rows(("f", 1, 0, 9), ("m", 0, 0, 9))
    assert measure("true_positive_rate_difference", counts).why == Why.ONE_CLASS
    assert measure("false_positive_rate_difference", counts).value == 1.0


def test_a_ratio_of_nothing_to_nothing_is_not_defined():
    counts = rows(("f", 0, 0, 9), ("f", 0, 1, 9), ("m", 0, 0, 9), ("m", 0, 1, 9))
    assert measure("demographic_parity_ratio", counts).why == Why.NOT_DEFINED
    assert measure("equalized_odds_ratio", counts).why == Why.NOT_DEFINED
    assert measure("demographic_parity_difference", counts).value == 0.0


def test_a_group_that_is_never_chosen_is_a_ratio_of_nothing_with_an_upper_end():
    got = measure("demographic_parity_ratio", rows(("f", 1, 1, 50), ("f", 0, 0, 50), ("m", 0, 0, 60)))
    assert got.value == got.low == 0.0
    assert 0 < got.high < 0.3


def test_accuracy_by_group_of_a_multiclass_model():
    who = ["f"] * 8 + ["m"] * 8
    counts = counts_from_rows(MULTI, {"sex": who}, ["a"] * 7 + ["z"] + ["b"] * 8, [0.5] * 16, ["a"] * 7 + ["z"] + ["a", "b"] * 4)
    got = measure("accuracy_gap", counts)
    assert got.value == 7 / 8 - 0.5  # A class outside the reference is never right.
    assert got.detail["between"] == ["m", "f"]
