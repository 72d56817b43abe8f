"""Shared intervals: scipy and published examples as oracles, and what happens where nothing was observed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2, foldnorm, ncx2, norm
from scipy.stats.contingency import relative_risk

from guardian.metrics.base import Z95
from guardian.metrics.intervals import (
    absolute_bias,
    absolute_sum,
    around,
    chi_squared_critical,
    divergence_interval,
    katz,
    newcombe,
    share_variance,
    wilson,
)

counts = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_is_scipys(kn):
    want = binomtest(*kn).proportion_ci(method="wilson")
    assert wilson(*kn) == pytest.approx((want.low, want.high), abs=1e-12)


@given(counts, st.floats(0.5, 4))
def test_wilson_holds_the_share_and_widens_with_z(kn, z):
    (low, high), (lower, higher) = wilson(*kn, z), wilson(*kn, z + 0.1)
    assert 0 <= lower <= low <= kn[0] / kn[1] <= high <= higher <= 1


def test_nothing_observed_leaves_everything_possible():
    assert wilson(0, 0) == (0, 1)
    assert newcombe(0, 0, 1, 2) == newcombe(1, 2, 0, 0) == (-1, 1)
    assert katz(0, 0, 1, 2) == katz(1, 2, 0, 0) == (0, math.inf)


@pytest.mark.parametrize(
    ("k1", "n1", "k2", "n2", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1),
        (0, 10, 0, 20, -0.1611, 0.2775),
    ],
)
def test_newcombe_gives_the_published_examples(k1, n1, k2, n2, low, high):
    """Newcombe 1998, Statist. Med. 17:873, table II, method 10."""
    assert newcombe(k1, n1, k2, n2) == pytest.approx((low, high), abs=1e-4)


@given(counts, counts)
def test_newcombe_turns_with_its_groups(a, b):
    low, high = newcombe(*a, *b)
    assert newcombe(*b, *a) == pytest.approx((-high, -low), abs=1e-12)
    assert -1 - 1e-12 <= low <= a[0] / a[1] - b[0] / b[1] <= high <= 1 + 1e-12


def test_katz_is_scipys_for_many_rows():
    want = relative_risk(4_000, 10_000, 5_000, 10_000).confidence_interval(0.95)
    assert katz(4_000, 10_000, 5_000, 10_000) == pytest.approx((want.low, want.high), rel=1e-4)


@given(counts, counts)
def test_katz_turns_with_its_groups_and_is_finite(a, b):
    low, high = katz(*a, *b)
    back_low, back_high = katz(*b, *a)
    assert 0 <= low <= high < math.inf
    if low > 0:
        assert (1 / back_high, 1 / back_low) == pytest.approx((low, high), rel=1e-9)


def test_around_is_symmetric():
    assert around(1.0, 0.5) == (1 - Z95 / 2, 1 + Z95 / 2)
    assert pytest.approx(norm.isf(0.025), abs=1e-15) == Z95


@given(st.floats(1e-4, 20), st.floats(0.1, 40), st.floats(1e-5, 0.1))
def test_the_divergence_interval_inverts_the_noncentral_law(value, freedom, scale):
    """At each end the law's distribution function is 0.975 and 0.025; the stretch is 1 here."""
    low, high = divergence_interval(value, freedom * scale, 4 * value * scale, scale)
    x = value / scale
    for end, level in ((low, 0.975), (high, 0.025)):
        if end > 0:
            assert ncx2.cdf(x, freedom, end / scale) == pytest.approx(level, abs=1e-6)
        else:
            assert chi2.cdf(x, freedom) <= level + 1e-9


def test_the_stretch_is_bounded():
    narrow, wide = (divergence_interval(0.2, 0.009, v, 0.001) for v in (0.0, 1.0))
    assert narrow == divergence_interval(0.2, 0.009, 0.5 * 4 * 0.2 * 0.001, 0.001)
    assert wide == pytest.approx(divergence_interval(0.2, 0.009, 5 * 4 * 0.2 * 0.001, 0.001), rel=1e-12)


def test_no_divergence_at_all_is_an_interval_from_zero():
    low, high = divergence_interval(0.0, 0.02, 0.0, 0.02)
    assert low == 0
    assert 0 <= high < 0.1


@given(st.floats(0, 6), st.floats(1e-3, 10))
def test_the_bias_bound_is_the_folded_normals_excess_and_above_it_near_zero(z, sigma):
    got = float(absolute_bias(np.array([z * sigma]), np.array([sigma]))[0])
    excess = (foldnorm.mean(z) - z) * sigma
    if z > 2.0001:
        assert got == pytest.approx(excess, abs=1e-9 * sigma)
    elif z < 1.9999:
        assert got == pytest.approx(math.sqrt(2 / math.pi) * sigma, rel=1e-12)
    assert got >= excess - 1e-9 * sigma


def test_what_has_no_spread_has_no_bias():
    assert absolute_bias(np.array([0.0, 0.3]), np.zeros(2)).tolist() == [0, 0]
    assert absolute_sum(np.array([0.1, -0.3]), np.zeros(2), np.array([1.0, 2.0]), 0.0) == pytest.approx((0.7, 0.7, 0.7))


def test_the_interval_of_a_sum_is_one_sided_near_zero():
    value, low, high = absolute_sum(np.array([0.01, -0.01]), np.array([0.02, 0.02]), 0.5, 0.01)
    assert (value, low) == (0, 0)
    assert high == pytest.approx(0.01 + Z95 * 0.01)


@pytest.mark.parametrize("freedom", [1, 4, 9, 99])
def test_the_critical_value_is_scipys(freedom):
    assert chi_squared_critical(freedom) == pytest.approx(chi2.ppf(0.95, freedom), rel=1e-12)
    assert chi_squared_critical(0) == 0


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(-9, 9)), min_size=1, max_size=9))
def test_share_variance_is_the_weighted_variance(pairs):
    weights, values = np.array(pairs).T
    shares = weights / weights.sum()
    want = np.average((values - np.average(values, weights=shares)) ** 2, weights=shares)
    assert share_variance(shares, values) == pytest.approx(want, abs=1e-9)
