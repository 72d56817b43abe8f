"""Quality metrics: shares with scipy's Wilson interval, exact counts, delays by order statistics, and what is not defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject, Undefined, Why
from guardian.metrics.quality import (
    label_coverage,
    label_delay,
    missing_share,
    new_category_share,
    out_of_range_share,
    volume,
)
from guardian.testing.counts import TableCounts, counts_from_rows

PARAMETERS = Parameters(
    "binary_classification",
    (NumericColumn("age", (30.0, 50.0), 18.0, 80.0), CategoricalColumn("sex", ("1", "2"))),
    ("0", "1"),
    1,
    None,
    (),
    horizon_panes=5,
)
AGE, SEX, SCORE, PREDICTION = Subject(column="age"), Subject(column="sex"), Subject(output="score"), Subject(output="prediction")
ROWS = counts_from_rows(
    PARAMETERS,
    {"age": [17.9, 18, 80, 80.1, None, float("nan"), 40, 41], "sex": [1, 2.0, "2", 3, True, None, "1", "1"]},
    [0, 1] * 4,
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, None, 0.8],
    [0, None, 1, 1, None, 0, 0, 1],
    [0, None, 1, 1, None, 5, 2, 1],
)
NOTHING = counts_from_rows(PARAMETERS, {}, [])


def measure(metric, subject=None, counts=ROWS, **parameters):
    return metric.measure(counts, None, subject or Subject(), Options(parameters=parameters))


@pytest.mark.parametrize(
    ("metric", "subject", "k", "n"),
    [
        (missing_share, AGE, 2, 8),
        (missing_share, SEX, 1, 8),
        (missing_share, SCORE, 1, 8),
        (missing_share, PREDICTION, 0, 8),
        (out_of_range_share, AGE, 2, 6),
        (out_of_range_share, SCORE, 0, 7),
        (new_category_share, SEX, 2, 7),
        (new_category_share, PREDICTION, 0, 8),
    ],
)
def test_shares_are_counted_with_wilsons_interval(metric, subject, k, n):
    got = measure(metric, subject)
    want = binomtest(k, n).proportion_ci(method="wilson")
    assert isinstance(got, Measured)
    assert (got.value, got.n) == (k / n, n)
    assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=1e-12)
    assert got.se == pytest.approx((want.high - want.low) / 3.92, rel=1e-3)


def test_each_side_of_the_range_is_told():
    assert measure(out_of_range_share, AGE).detail == {"below": 0.166666667, "above": 0.166666667}


@pytest.mark.parametrize(
    ("metric", "subject", "n"),
    [
        (out_of_range_share, SEX, 7),
        (out_of_range_share, PREDICTION, 8),
        (new_category_share, AGE, 6),
        (new_category_share, SCORE, 7),
    ],
)
def test_shares_that_make_no_sense_are_not_defined(metric, subject, n):
    assert measure(metric, subject) == Undefined(Why.NOT_DEFINED, n)


@pytest.mark.parametrize("metric", [missing_share, out_of_range_share, new_category_share])
def test_no_rows_no_share(metric):
    assert measure(metric, SEX if metric is new_category_share else AGE, NOTHING) == Undefined(Why.NO_DATA)
    assert measure(metric, Subject()) == Undefined(Why.NOT_DEFINED)


def test_volume_is_exact_and_silence_is_zero():
    assert measure(volume) == Measured(8.0, 8, 8.0, 8.0)
    assert measure(volume, counts=NOTHING) == Measured(0.0, 0, 0.0, 0.0)


def test_label_coverage_is_exact():
    assert measure(label_coverage) == Measured(0.75, 8, 0.75, 0.75, detail={"labelled": 6})
    assert measure(label_coverage, counts=NOTHING) == Undefined(Why.NO_DATA)


def test_label_delay_is_a_quantile_in_panes():
    # Delays 0 1 1 1 2 5.
    assert [measure(label_delay, quantile=q).value for q in (0.1, 0.5, 0.7, 0.99)] == [0, 1, 2, 5]
    assert measure(label_delay).value == 1
    assert measure(label_delay).n == 6
    assert measure(label_delay, counts=NOTHING) == Undefined(Why.NO_LABELS)


def delayed(histogram) -> TableCounts:
    return TableCounts(PARAMETERS, sum(histogram), sum(histogram), {"delay/": np.array(histogram)})


@given(st.lists(st.integers(0, 60), min_size=6, max_size=6).filter(any), st.floats(0.02, 0.98))
def test_the_quantile_is_numpys_and_lies_in_its_interval(histogram, quantile):
    got = measure(label_delay, counts=delayed(histogram), quantile=quantile)
    delays = np.repeat(np.arange(6), histogram)
    assert got.value == np.quantile(delays, quantile, method="inverted_cdf")
    assert got.low <= got.value <= got.high


def test_the_interval_of_the_delay_is_two_labels_by_rank():
    # Ten labels, one a pane: the 5th, and the 2nd to the 9th (0.979 of binomial(10, 1/2) lies between).
    assert measure(label_delay, counts=delayed([1] * 10)) == Measured(4.0, 10, 1.0, 8.0)


@given(st.integers(1, 3_000), st.floats(0.01, 0.99), st.sampled_from([0.025, 0.5, 0.975]))
def test_binomial_quantiles_are_scipys(n, p, level):
    found, tie = label_delay.binomial_quantile(level, n, p), 1e-9  # Where a sum is the level itself, either side will do.
    assert binom.cdf(found, n, p) >= level - tie
    assert binom.cdf(found - 1, n, p) < level + tie


def test_the_interval_of_the_delay_covers():
    """Goal: at least 95 % less Monte Carlo. Method: 1,000 seeded windows of 80 labels; the true median is 2."""
    rng = np.random.default_rng(5)
    shares = [0.15, 0.25, 0.2, 0.2, 0.1, 0.1]
    got = [measure(label_delay, counts=delayed(h)) for h in rng.multinomial(80, shares, size=1_000)]
    assert np.mean([g.low <= 2 <= g.high for g in got]) >= 0.93
    assert np.mean([g.high - g.low for g in got]) < 2
