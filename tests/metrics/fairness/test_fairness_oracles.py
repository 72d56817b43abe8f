"""Fairness against fairlearn on the same rows, and the intervals of the extremes against plain loops over pairs."""

import math
from itertools import combinations

import fairlearn.metrics as fl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import accuracy_score

from guardian.catalog.parameters import CategoricalColumn, Parameters
from guardian.metrics.base import Z95, Measured, Options, Subject
from guardian.metrics.fairness.extremes import greatest_difference, least_ratio, lowest_rate, pairs
from guardian.metrics.fairness.groups import Groups
from guardian.metrics.fairness.names import METRICS
from guardian.metrics.intervals import katz, newcombe, wilson
from guardian.metrics.registry import measure_of
from guardian.testing.counts import counts_from_rows

SEX = CategoricalColumn("sex", ("f", "m", "x"))
AGE = CategoricalColumn("age", ("old", "young"))
SEGMENTS = (("sex",), ("sex", "age"))


def parameters(positive):
    return Parameters("binary_classification", (SEX, AGE), ("0", "1"), positive, None, SEGMENTS, 1)


def people(seed, n=900):
    """Return (sex, age, true, predicted) with rates that differ between groups."""
    rng = np.random.default_rng(seed)
    sex, age = rng.choice(SEX.keys, n, p=[0.5, 0.35, 0.15]), rng.choice(AGE.keys, n)
    tilt = np.select([sex == "f", sex == "m"], [0.0, 0.1], 0.2) + 0.05 * (age == "old")
    true = (rng.random(n) < 0.4 + tilt).astype(int)
    predicted = (rng.random(n) < np.where(true == 1, 0.7, 0.2) + tilt).astype(int)
    return sex, age, true, predicted


ORACLES = {
    "demographic_parity_difference": fl.demographic_parity_difference,
    "demographic_parity_ratio": fl.demographic_parity_ratio,
    "equal_opportunity_difference": fl.equal_opportunity_difference,
    "equalized_odds_difference": fl.equalized_odds_difference,
    "equalized_odds_ratio": fl.equalized_odds_ratio,
    "true_positive_rate_difference": lambda y, p, *, sensitive_features: frame(
        fl.true_positive_rate, y, p, sensitive_features
    ).difference(),
    "false_positive_rate_difference": lambda y, p, *, sensitive_features: frame(
        fl.false_positive_rate, y, p, sensitive_features
    ).difference(),
    "accuracy_gap": lambda y, p, *, sensitive_features: frame(accuracy_score, y, p, sensitive_features).difference(),
    "selection_rate": lambda y, p, *, sensitive_features: frame(fl.selection_rate, y, p, sensitive_features).group_min(),
}


def frame(metric, true, predicted, who):
    return fl.MetricFrame(metrics=metric, y_true=true, y_pred=predicted, sensitive_features=who)


def test_every_metric_has_an_oracle():
    assert {f"fairness.{name}" for name in ORACLES} == {m.name for m in METRICS}


@pytest.mark.parametrize("by", ["sex", "sex,age"])
@pytest.mark.parametrize(("seed", "positive"), [(1, 1), (2, 1), (3, 0)])
@pytest.mark.parametrize("name", ORACLES)
def test_values_are_fairlearns(name, seed, positive, by):
    sex, age, true, predicted = people(seed)
    classes = np.array(["0", "1"] if positive else ["1", "0"])
    columns = {"sex": sex.tolist(), "age": age.tolist()}
    counts = counts_from_rows(parameters(positive), columns, classes[predicted].tolist(), None, classes[true].tolist())
    got = measure_of(f"fairness.{name}")(counts, None, Subject(by=by), Options())
    who = sex if by == "sex" else np.char.add(np.char.add(sex, ","), age)
    want = ORACLES[name](true, predicted, sensitive_features=who)
    assert got.value == pytest.approx(want, abs=1e-12)
    assert got.low <= got.value <= got.high
    assert set(got.detail["groups"]) == set(who)
    assert got.detail["too_small"] == {}
    if name not in {"selection_rate", "equalized_odds_difference", "equalized_odds_ratio"}:
        low, high = (got.detail["groups"][group]["rate"] for group in got.detail["between"])
        assert got.value == pytest.approx(low / high if name.endswith("ratio") else high - low, abs=1e-8)


def test_rows_judged_are_counted():
    sex, age, true, predicted = people(4)
    columns = {"sex": sex.tolist(), "age": age.tolist()}
    counts = counts_from_rows(parameters(1), columns, predicted.tolist(), None, true.tolist())
    rows = {name: measure_of(f"fairness.{name}")(counts, None, Subject(by="sex"), Options()).n for name in ORACLES}
    assert rows["demographic_parity_ratio"] == rows["accuracy_gap"] == rows["equalized_odds_difference"] == 900
    assert rows["true_positive_rate_difference"] == true.sum()
    assert rows["false_positive_rate_difference"] == 900 - true.sum()


# --- intervals of the extremes, by loops -----------------------------------------------------------------------------

counts = st.lists(
    st.tuples(st.integers(1, 400), st.floats(0, 1)).map(lambda c: (round(c[0] * c[1]), c[0])), min_size=2, max_size=9
)


def groups_of(sample):
    hits, rows = (np.array(column) for column in zip(*sample, strict=True))
    return Groups(tuple(f"g{i}" for i in range(len(rows))), hits, rows, {})


def ordered(sample, key):
    """Return pairs as (lower, higher) by `key`."""
    return [tuple(sorted(pair, key=key)) for pair in combinations(sample, 2)]


@given(counts)
def test_a_greatest_difference_is_broken_by_some_pair_and_kept_by_all(sample):
    zb = norm.isf(0.025 / math.comb(len(sample), 2))
    ends = [(newcombe(*b, *a, zb)[0], newcombe(*b, *a, Z95)[1]) for a, b in ordered(sample, lambda g: g[0] / g[1])]
    got = greatest_difference(groups_of(sample))
    assert got.low == pytest.approx(max(max(low for low, _ in ends), 0.0), abs=1e-12)
    if len({k / n for k, n in sample}) == len(sample):  # Between equal rates either order is right.
        assert got.high == pytest.approx(min(max(high for _, high in ends), 1.0), abs=1e-12)
    assert got.low <= got.value <= got.high + 1e-12


@given(counts)
def test_a_least_ratio_is_broken_by_some_pair_and_kept_by_all(sample):
    zb = norm.isf(0.025 / math.comb(len(sample), 2))
    ends = [(katz(*a, *b, Z95)[0], katz(*a, *b, zb)[1]) for a, b in ordered(sample, lambda g: (g[0] + 0.5) / (g[1] + 1))]
    got = least_ratio(groups_of(sample))
    if not any(k for k, _ in sample):
        assert got is None
        return
    low, high = min(low for low, _ in ends), min(high for _, high in ends)
    assert got.low == pytest.approx(min(low, got.value), abs=1e-12)
    assert got.high == pytest.approx(max(min(high, 1.0), got.value), abs=1e-12)


@given(counts)
def test_a_lowest_rate_is_broken_by_some_group_and_kept_by_all(sample):
    zb = norm.isf(0.025 / len(sample))
    got = lowest_rate(groups_of(sample))
    assert got.low == pytest.approx(min(wilson(k, n)[0] for k, n in sample))
    assert got.high == pytest.approx(min(wilson(k, n, zb)[1] for k, n in sample))
    assert got.value == min(k / n for k, n in sample)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_equalized_odds_looks_at_both_families_of_pairs(seed):
    sex, age, true, predicted = people(seed, 300)
    columns = {"sex": sex.tolist(), "age": age.tolist()}
    found = counts_from_rows(parameters(1), columns, predicted.tolist(), None, true.tolist())
    families = []
    for y in (1, 0):
        rows = np.array([(true[sex == s] == y).sum() for s in SEX.keys])
        hits = np.array([predicted[(sex == s) & (true == y)].sum() for s in SEX.keys])
        families.append(Groups(SEX.keys, hits, rows, {}))
    looks = sum(map(pairs, families))
    assert looks == 6
    for name, seek, pick in (("difference", greatest_difference, max), ("ratio", least_ratio, min)):
        got = measure_of(f"fairness.equalized_odds_{name}")(found, None, Subject(by="sex"), Options())
        both = [seek(family, looks) for family in families]
        assert isinstance(got, Measured)
        assert (got.value, got.low, got.high) == tuple(pick(getattr(e, end) for e in both) for end in ("value", "low", "high"))
        held = "true_positive_rate" if got.value == both[0].value else "false_positive_rate"
        assert got.detail["rate"] == held
        assert got.detail["other"]["rate"] != held
