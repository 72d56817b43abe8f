"""Performance against scikit-learn on the same rows: exact where counts decide, within the stated bound where bins do."""

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from guardian.catalog.parameters import NEW, NumericColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject
from guardian.metrics.registry import REGISTRY, measure_of
from guardian.testing.counts import counts_from_rows

BINARY = Parameters("binary_classification", (), ("no", "yes"), 1, None, (), 3)
FLIPPED = Parameters("binary_classification", (), ("0", "1"), 0, None, (), 3)  # The class that counts sorts first.
MULTI = Parameters("multiclass_classification", (), ("a", "b", "c"), -1, None, (), 3)
UNIT = 1_000.0
REGRESSION = Parameters("regression", (), (), -1, NumericColumn("prediction", (1e5, 2e5), 0.0, 4e5), (), 3, UNIT)


def measure(name, counts, **subject):
    got = measure_of(f"performance.{name}")(counts, None, Subject(**subject), Options())
    assert isinstance(got, Measured)
    spec = REGISTRY[f"performance.{name}"]
    assert spec.low - 1e-12 <= got.low <= got.value + 1e-12
    assert got.value <= got.high + 1e-12
    assert got.high <= spec.high + 1e-12
    assert got.se > 0
    return got


def binary_rows(seed, n=700):
    """Return (true, predicted, score), true and predicted 0 or 1, calibrated up to a known distortion."""
    rng = np.random.default_rng(seed)
    score = np.clip(rng.beta(0.8, 0.9, n), 0.0, 1.0)
    true = (rng.random(n) < 0.1 + 0.8 * score).astype(int)
    return true, (score > 0.45).astype(int), score


def counted(parameters, true, predicted, score):
    names = parameters.classes if parameters.positive else parameters.classes[::-1]
    said, truth = ([names[int(v)] for v in column] for column in (predicted, true))
    return counts_from_rows(parameters, {}, said, score.tolist(), truth)


@pytest.fixture(params=[(BINARY, 1), (BINARY, 2), (FLIPPED, 3)], ids=["a", "b", "positive-first"])
def binary(request):
    parameters, seed = request.param
    rows = binary_rows(seed)
    return rows, counted(parameters, *rows)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("accuracy", sk.accuracy_score),
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
        ("f1", sk.f1_score),
        ("balanced_accuracy", sk.balanced_accuracy_score),
    ],
)
def test_what_counts_decide_is_exact(binary, name, oracle):
    (true, predicted, _), counts = binary
    assert measure(name, counts).value == pytest.approx(oracle(true, predicted), abs=1e-12)


def test_auc_is_within_half_of_the_pairs_that_share_a_bin(binary):
    (true, _, score), counts = binary
    got = measure("roc_auc", counts)
    bins = np.searchsorted(np.arange(1, 100) / 100, score, "right")
    positives, negatives = (np.bincount(bins[true == y], minlength=100) for y in (1, 0))
    bound = 0.5 * (positives @ negatives) / (positives.sum() * negatives.sum())
    assert bound < 0.01
    assert abs(got.value - sk.roc_auc_score(true, score)) <= bound
    assert got.value == pytest.approx(sk.roc_auc_score(true, bins), abs=1e-12)  # Exact, ties counted half.


def test_auc_of_a_window_of_usual_size_is_within_a_fifth_of_a_thousandth():
    true, predicted, score = binary_rows(11, 5_000)
    counts = counted(BINARY, true, predicted, score)
    assert measure("roc_auc", counts).value == pytest.approx(sk.roc_auc_score(true, score), abs=2e-4)


def test_delong_is_the_variance_of_the_placements():
    """DeLong's own definition, over pairs of rows."""
    true, predicted, score = binary_rows(4, 300)
    bins = np.searchsorted(np.arange(1, 100) / 100, score, "right")
    wins = (bins[true == 1][:, None] > bins[true == 0]) + 0.5 * (bins[true == 1][:, None] == bins[true == 0])
    m, n = wins.shape
    variance = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    assert measure("roc_auc", counted(BINARY, true, predicted, score)).se == pytest.approx(math.sqrt(variance))


def test_brier_is_exact_to_the_fixed_point(binary):
    (true, _, score), counts = binary
    got = measure("brier", counts)
    assert got.value == pytest.approx(sk.brier_score_loss(true, score), abs=3 * 2**-20)
    exact = ((score - true) ** 2).std() / math.sqrt(len(true))
    assert got.se == pytest.approx(exact, rel=0.01)


def test_log_loss_is_within_the_bound_of_its_bins(binary):
    (true, predicted, score), _ = binary
    inside = (score > 0.01) & (score < 0.99)  # Beyond, the exact loss has no bound: see the next test.
    true, predicted, score = true[inside], predicted[inside], score[inside]
    got = measure("log_loss", counted(BINARY, true, predicted, score))
    given = np.where(true == 1, score, 1 - score)
    low, high = np.floor(given * 100) / 100, np.ceil(given * 100) / 100
    middle = (low + high) / 2
    bound = np.maximum(np.log(high / middle), np.log(middle / low)).mean()
    exact = sk.log_loss(true, score)
    assert bound < 0.03
    assert abs(got.value - exact) <= bound
    assert got.value == pytest.approx(exact, abs=1.5e-3)  # Spread over its bin, a row's error averages out.


def test_a_sure_and_wrong_score_costs_what_its_bin_costs():
    true, score = np.array([1, 1, 0, 0]), np.array([1e-9, 0.995, 0.005, 0.005])
    got = measure("log_loss", counted(BINARY, true, (score > 0.5).astype(int), score))
    assert got.value == pytest.approx((-math.log(0.005) - 3 * math.log(0.995)) / 4)


def test_calibration_error_by_its_definition(binary):
    (true, _, score), counts = binary
    got = measure("expected_calibration_error", counts)
    mids = (np.searchsorted(np.arange(1, 100) / 100, score, "right") + 0.5) / 100
    cells = np.searchsorted(np.arange(1, 10) / 10, mids)
    raw = sum(abs((true - mids)[cells == c].sum()) for c in range(10)) / len(true)
    assert got.detail["raw"] == pytest.approx(raw, abs=1e-8)
    assert got.low <= got.value < raw < got.high
    exact = sum(abs((true - score)[cells == c].sum()) for c in range(10)) / len(true)
    assert got.detail["raw"] == pytest.approx(exact, abs=0.005)  # A score is at most half a bin from its mid point.


def test_rows_without_a_score_count_where_no_score_is_needed():
    true, predicted, score = binary_rows(6, 200)
    some = [None if i % 4 == 0 else s for i, s in enumerate(score.tolist())]
    counts = counts_from_rows(BINARY, {}, [BINARY.classes[v] for v in predicted], some, [BINARY.classes[v] for v in true])
    kept = np.array([s is not None for s in some])
    assert measure("accuracy", counts).n == 200
    assert measure("accuracy", counts).value == pytest.approx(sk.accuracy_score(true, predicted))
    assert measure("brier", counts).n == kept.sum()
    assert measure("brier", counts).value == pytest.approx(sk.brier_score_loss(true[kept], score[kept]), abs=3e-6)


def multi_rows(seed, *, fresh):
    """Return (true, predicted, score); `fresh` adds a class outside the reference to the truth."""
    rng = np.random.default_rng(seed)
    true = rng.choice([*MULTI.classes, "d"], 600, p=[0.5, 0.3, 0.15, 0.05] if fresh else [0.5, 0.3, 0.2, 0.0])
    guess = rng.choice(MULTI.classes, 600)
    predicted = np.where((rng.random(600) < 0.7) & (true != "d"), true, guess)
    return true, predicted, rng.beta(4, 2, 600)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    ("name", "oracle"), [("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)]
)
def test_multiclass_is_the_plain_mean_of_its_classes(name, oracle, fresh):
    true, predicted, score = multi_rows(8, fresh=fresh)
    counts = counts_from_rows(MULTI, {}, predicted.tolist(), score.tolist(), true.tolist())
    got = measure(name, counts)
    # Precision has no number for the class that no one predicts: it is left out, where scikit-learn says 0.
    classes = [*MULTI.classes, "d"] if fresh and name != "precision" else list(MULTI.classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = oracle(true, predicted, labels=classes, average=None, zero_division=0)
    assert got.value == pytest.approx(each.mean(), abs=1e-12)
    assert got.n == 600
    assert got.detail["left_out"] == ([NEW] if len(classes) == 3 else [])
    assert list(got.detail["classes"].values()) == pytest.approx(each, abs=1e-8)
    for label, want in zip(MULTI.classes, each, strict=False):
        assert measure(name, counts, of_class=label).value == pytest.approx(want, abs=1e-12)


def test_multiclass_accuracy_and_balance():
    true, predicted, score = multi_rows(9, fresh=True)
    counts = counts_from_rows(MULTI, {}, predicted.tolist(), score.tolist(), true.tolist())
    assert measure("accuracy", counts).value == pytest.approx(sk.accuracy_score(true, predicted), abs=1e-12)
    want = sk.recall_score(true, predicted, labels=["a", "b", "c", "d"], average="macro", zero_division=0)
    assert measure("balanced_accuracy", counts).value == pytest.approx(want, abs=1e-12)
    for label in MULTI.classes:
        one = true == label, predicted == label
        assert measure("accuracy", counts, of_class=label).value == pytest.approx(sk.accuracy_score(*one), abs=1e-12)
        want = sk.balanced_accuracy_score(*one)
        assert measure("balanced_accuracy", counts, of_class=label).value == pytest.approx(want, abs=1e-12)


def test_a_class_outside_the_reference_is_never_right():
    counts = counts_from_rows(MULTI, {}, ["d", "e", "a", "b"], [0.5] * 4, ["d", "f", "a", "b"])
    assert measure("accuracy", counts).value == 0.5
    assert measure("recall", counts).detail["classes"] == {"a": 1.0, "b": 1.0, NEW: 0.0}
    assert measure("f1", counts).value == pytest.approx(2 / 3)


def test_multiclass_calibration_is_of_the_top_score():
    true, predicted, score = multi_rows(10, fresh=True)
    counts = counts_from_rows(MULTI, {}, predicted.tolist(), score.tolist(), true.tolist())
    mids = (np.searchsorted(np.arange(1, 100) / 100, score, "right") + 0.5) / 100
    cells = np.searchsorted(np.arange(1, 10) / 10, mids)
    right = true == predicted
    raw = sum(abs((right - mids)[cells == c].sum()) for c in range(10)) / 600
    assert measure("expected_calibration_error", counts).detail["raw"] == pytest.approx(raw, abs=1e-8)


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(12)
    true = rng.normal(180_000, 40_000, 800)
    predicted = true + rng.normal(2_500, 12_000, 800)
    return true, predicted, counts_from_rows(REGRESSION, {}, predicted.tolist(), None, true.tolist())


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("mae", sk.mean_absolute_error),
        ("rmse", sk.root_mean_squared_error),
        ("bias", lambda true, predicted: float(np.mean(predicted - true))),
        ("r2", sk.r2_score),
    ],
)
def test_regression_is_exact_to_the_fixed_point(regression, name, oracle):
    true, predicted, counts = regression
    assert measure(name, counts).value == pytest.approx(oracle(true, predicted), rel=1e-6)


def test_regression_errors_are_those_of_the_rows(regression):
    true, predicted, counts = regression
    error = predicted - true
    for name, rows in (("bias", error), ("mae", np.abs(error))):
        want = rows.std(ddof=1) / math.sqrt(800)
        assert measure(name, counts).se == pytest.approx(want, rel=0.002)  # Student's t is 1.96295 here, not 1.95996.


def test_a_label_far_from_zero_costs_r_squared_nothing():
    rng = np.random.default_rng(13)
    true = 100_000 + rng.normal(0, 1, 300)
    predicted = true + rng.normal(0, 0.3, 300)
    parameters = Parameters("regression", (), (), -1, NumericColumn("prediction", (), 0.0, 2e6), (), 3)
    counts = counts_from_rows(parameters, {}, predicted.tolist(), None, true.tolist())
    assert measure("r2", counts).value == pytest.approx(sk.r2_score(true, predicted), abs=1e-5)
