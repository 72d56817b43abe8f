"""Performance where there is little or nothing to measure: a reason or an honest interval, never NaN."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.catalog.parameters import NumericColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject, Undefined, Why
from guardian.metrics.performance.names import METRICS
from guardian.metrics.registry import measure_of
from guardian.testing.counts import counts_from_rows

BINARY = Parameters("binary_classification", (), ("0", "1"), 1, None, (), 1)
MULTI = Parameters("multiclass_classification", (), ("a", "b"), -1, None, (), 1)
NO_CLASSES = Parameters("multiclass_classification", (), (), -1, None, (), 1)  # What is counted by without a reference.
REGRESSION = Parameters("regression", (), (), -1, NumericColumn("prediction", (), -10.0, 10.0), (), 1)
SCORED = ("roc_auc", "brier", "log_loss", "expected_calibration_error")
ERRORS = ("mae", "rmse", "bias", "r2")


def names(task):
    return [m.name for m in METRICS if task in m.tasks]


def measure(name, counts, **subject):
    name = name if name.startswith("performance.") else f"performance.{name}"
    return measure_of(name)(counts, None, Subject(**subject), Options())


def binary(predicted, true, score=None):
    return counts_from_rows(BINARY, {}, predicted, score, true)


@pytest.mark.parametrize("name", names("binary_classification"))
def test_without_labels_there_is_no_number(name):
    assert measure(name, binary([1, 0], [None, None], [0.9, 0.1])).why == Why.NO_LABELS


@pytest.mark.parametrize("name", names("multiclass_classification"))
def test_without_labels_there_is_no_multiclass_number(name):
    assert measure(name, counts_from_rows(MULTI, {}, ["a"], [0.9], [None])).why == Why.NO_LABELS


@pytest.mark.parametrize("name", names("multiclass_classification"))
@pytest.mark.parametrize("subject", [{}, {"of_class": "a"}, {"of_class": "(new)"}], ids=str)
def test_without_a_reference_nothing_is_known_of_several_classes(name, subject):
    counts = counts_from_rows(NO_CLASSES, {}, ["a", "b"] * 50, [0.9, 0.8] * 50, ["a", "b"] * 50)
    assert measure(name, counts, **subject) == Undefined(Why.NO_REFERENCE, 100)


@pytest.mark.parametrize("name", names("regression"))
def test_without_labels_there_is_no_error(name):
    assert measure(name, counts_from_rows(REGRESSION, {}, [1.0], None, [None])).why == Why.NO_LABELS


@pytest.mark.parametrize("name", SCORED)
def test_without_a_score_there_is_no_number(name):
    got = measure(name, binary([1, 0], [1, 0]))
    assert (got.why, got.n) == (Why.NO_SCORE, 2)


def test_without_a_top_score_there_is_no_calibration():
    got = measure("expected_calibration_error", counts_from_rows(MULTI, {}, ["a"], None, ["a"]))
    assert got == Undefined(Why.NO_SCORE, 1)


@pytest.mark.parametrize(
    ("name", "said", "true", "why"),
    [
        ("precision", [0, 0], [1, 0], Why.NOT_DEFINED),
        ("recall", [1, 0], [0, 0], Why.ONE_CLASS),
        ("f1", [0, 0], [0, 0], Why.ONE_CLASS),
        ("balanced_accuracy", [1, 0], [1, 1], Why.ONE_CLASS),
        ("roc_auc", [1, 0], [1, 1], Why.ONE_CLASS),
    ],
)
def test_an_empty_denominator_is_a_reason(name, said, true, why):
    assert measure(name, binary(said, true, [0.9, 0.2])).why == why


def test_one_class_alone_has_no_balance():
    counts = counts_from_rows(MULTI, {}, ["a", "b"], [0.9, 0.9], ["a", "a"])
    assert measure("balanced_accuracy", counts).why == Why.ONE_CLASS
    assert measure("recall", counts).value == 0.5


def test_a_class_that_the_model_does_not_have_is_not_defined():
    counts = counts_from_rows(MULTI, {}, ["a", "b"], [0.9, 0.9], ["a", "a"])
    assert measure("recall", counts, of_class="z").why == Why.NOT_DEFINED


@pytest.mark.parametrize("name", ["brier", "log_loss"])
def test_one_row_has_no_spread(name):
    assert measure(name, binary([1], [1], [0.9])).why == Why.TOO_FEW_ROWS


@pytest.mark.parametrize("name", ERRORS)
def test_one_row_has_no_error_to_speak_of(name):
    assert measure(name, counts_from_rows(REGRESSION, {}, [1.0], None, [2.0])) == Undefined(Why.TOO_FEW_ROWS, 1)


def test_a_truth_that_does_not_vary_explains_nothing():
    counts = counts_from_rows(REGRESSION, {}, [1.0, 2.0, 3.0], None, [0.1, 0.1, 0.1])
    assert measure("r2", counts).why == Why.NOT_DEFINED


def test_perfect_separation_is_not_certainty():
    few = measure("roc_auc", binary([1] * 4 + [0] * 90, [1] * 4 + [0] * 90, [0.9] * 4 + [0.1] * 90))
    many = measure("roc_auc", binary([1] * 90 + [0] * 90, [1] * 90 + [0] * 90, [0.9] * 90 + [0.1] * 90))
    assert few.value == many.value == few.high == 1.0
    assert few.low < 0.6 < 0.95 < many.low < 1
    assert few.se > many.se > 0


def test_a_sample_without_a_miss_has_an_error():
    got = measure("accuracy", binary([1] * 10, [1] * 10))
    assert got.se == pytest.approx(1.96 / (2 * (10 + 1.96**2)), rel=1e-4)


rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.one_of(st.none(), st.floats(0, 1))), min_size=1, max_size=12)


def finite(got):
    if isinstance(got, Undefined):
        return got.why in Why
    ends = (got.low, got.value, got.high, got.se)
    return isinstance(got, Measured) and all(map(math.isfinite, ends)) and got.low <= got.value + 1e-12 <= got.high + 2e-12


@given(rows)
def test_a_handful_of_rows_is_a_reason_or_a_finite_interval(sample):
    said, true, score = map(list, zip(*sample, strict=True))
    counts = binary(said, true, score)
    for name in names("binary_classification"):
        assert finite(measure(name, counts)), name


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=12))
def test_a_handful_of_multiclass_rows_too(sample):
    said, true = map(list, zip(*sample, strict=True))
    counts = counts_from_rows(MULTI, {}, said, [0.7] * len(said), true)
    for name in names("multiclass_classification"):
        assert finite(measure(name, counts)), name
        assert finite(measure(name, counts, of_class="b")), name


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=12))
def test_a_handful_of_regression_rows_too(sample):
    said, true = map(list, zip(*sample, strict=True))
    counts = counts_from_rows(REGRESSION, {}, said, None, true)
    for name in names("regression"):
        assert finite(measure(name, counts)), name
