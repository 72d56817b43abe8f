"""Total variation, KS and Wasserstein: scipy as oracle, laws, and intervals that hold by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject, Undefined, Why
from guardian.metrics.drift import ks, total_variation, wasserstein
from guardian.testing.counts import TableCounts

WHAT = Subject(column="x")
EDGES = (-1.0, 0.0, 2.0, 5.0)
LOW, HIGH = -4.0, 11.0
PLACES = np.array([LOW, -2.5, -0.5, 1.0, 3.5, 8.0, HIGH])  # Below, the middles of five bins, above.
DISTANCES = [total_variation, ks, wasserstein]
in_bins = st.lists(st.integers(0, 400), min_size=5, max_size=5).filter(any)
strays = st.tuples(st.integers(0, 50), st.integers(0, 50))


def counted(bins, below=0, above=0, missing=0, edges=EDGES) -> TableCounts:
    parameters = Parameters("regression", (NumericColumn("x", edges, LOW, HIGH),), (), -1, None, (), 0)
    cells = np.array([*bins, below, above, missing], np.int64)
    return TableCounts(parameters, int(cells.sum()), 0, {"column/x": cells})


def measured(metric, live: TableCounts, reference: TableCounts) -> Measured:
    got = metric.measure(live, reference, WHAT, Options())
    assert isinstance(got, Measured)
    return got


@given(in_bins, strays, in_bins)
def test_ks_is_scipys_on_the_binned_rows(live, stray, reference):
    got = measured(ks, counted(live, *stray), counted(reference))
    rows = np.repeat(PLACES, [stray[0], *live, stray[1]])
    assert got.value == pytest.approx(ks_2samp(rows, np.repeat(PLACES[1:-1], reference), method="asymp").statistic, abs=1e-12)


@given(in_bins, strays, in_bins.filter(lambda x: sum(k > 0 for k in x) > 1))
def test_wasserstein_is_scipys_on_the_bins_middles(live, stray, reference):
    got = measured(wasserstein, counted(live, *stray), counted(reference))
    rows, before = np.repeat(PLACES, [stray[0], *live, stray[1]]), np.repeat(PLACES[1:-1], reference)
    assert got.detail["raw"] == pytest.approx(wasserstein_distance(rows, before) / before.std(), rel=1e-8, abs=1e-9)


@given(in_bins, in_bins)
def test_total_variation_is_half_the_sum_of_differences(live, reference):
    def categories(cells) -> TableCounts:
        parameters = Parameters("regression", (CategoricalColumn("x", tuple("abcde")),), (), -1, None, (), 0)
        return TableCounts(parameters, sum(cells), 0, {"column/x": np.array([*cells, 0, 0])})

    got = measured(total_variation, categories(live), categories(reference))
    if got.detail["cells"] == 5:
        want = np.abs(np.array(live) / sum(live) - np.array(reference) / sum(reference)).sum() / 2
        assert got.detail["raw"] == pytest.approx(want, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("metric", DISTANCES)
@given(live=in_bins, stray=strays, reference=in_bins.filter(lambda x: sum(k > 0 for k in x) > 1))
def test_the_value_lies_in_its_interval(metric, live, stray, reference):
    got = measured(metric, counted(live, *stray), counted(reference))
    assert 0 <= got.low <= got.value <= got.high < math.inf


@pytest.mark.parametrize("metric", DISTANCES)
def test_equal_sides_are_no_drift_yet_not_certain(metric):
    reference = counted([100, 200, 300, 200, 100])
    got = measured(metric, counted([10, 20, 30, 20, 10]), reference)
    assert (got.value, got.low) == (0, 0)
    assert got.high > 0.02


def test_halves_that_agree_by_chance_stay_uncertain():
    halves = [0, 500, 500, 0, 0]
    got = measured(total_variation, counted([0, 25, 25, 0, 0]), counted(halves))
    assert got.high == pytest.approx(1.96 * math.sqrt(0.25 / 50 + 0.25 / 1_000), rel=0.01)


@pytest.mark.parametrize(("metric", "truth"), [(total_variation, 0.1), (ks, 0.1), (wasserstein, None)])
@pytest.mark.parametrize("n", [200, 2_000])
def test_intervals_cover(metric, truth, n):
    """Goal: at least 92 % (95 %, less 3 Monte Carlo standard errors and what 200 rows cost W1). Method: 1,000 seeded draws."""
    rng, n0 = np.random.default_rng([n, 5]), 20_000
    p, q = np.array([0.2, 0.2, 0.2, 0.2, 0.2]), np.array([0.15, 0.15, 0.2, 0.25, 0.25])
    if truth is None:
        middles = PLACES[1:-1]
        truth = wasserstein_distance(middles, middles, q, p) / np.sqrt(p @ middles**2 - (p @ middles) ** 2)
    live, reference = rng.multinomial(n, q, size=1_000), rng.multinomial(n0, p, size=1_000)
    got = [measured(metric, counted(x), counted(y)) for x, y in zip(live, reference, strict=True)]
    assert np.mean([g.low <= truth <= g.high for g in got]) > 0.92
    assert np.mean([g.low > truth for g in got]) <= 0.04


@pytest.mark.parametrize("metric", DISTANCES)
def test_no_drift_is_never_called_a_tenth(metric):
    rng = np.random.default_rng(11)
    p = np.array([0.1, 0.2, 0.3, 0.3, 0.1])
    reference = counted(rng.multinomial(50_000, p))
    got = [measured(metric, counted(x), reference) for x in rng.multinomial(300, p, size=500)]
    assert not any(g.low > 0.1 for g in got)


@pytest.mark.parametrize("metric", [ks, wasserstein])
def test_categories_have_no_order(metric):
    parameters = Parameters("regression", (CategoricalColumn("x", ("a",)),), (), -1, None, (), 0)
    counts = TableCounts(parameters, 3, 0, {"column/x": np.array([3, 0, 0])})
    assert metric.measure(counts, counts, WHAT, Options()) == Undefined(Why.NOT_DEFINED, 3)


def test_a_constant_has_no_unit_to_move_by():
    constant = counted([9], edges=())
    assert wasserstein.measure(constant, constant, WHAT, Options()) == Undefined(Why.NOT_DEFINED, 9)
    assert measured(ks, counted([0], below=9, edges=()), constant).value == 1


@pytest.mark.parametrize("metric", DISTANCES)
def test_no_reference_no_distance(metric):
    assert metric.measure(counted([1, 2, 3, 4, 5]), None, WHAT, Options()) == Undefined(Why.NO_REFERENCE)


def test_the_interval_of_ks_by_hand():
    got = measured(ks, counted([30, 20, 20, 20, 10]), counted([200] * 5))
    sigmas = [
        math.sqrt(f * (1 - f) / 100 + g * (1 - g) / 1_000)
        for f, g in (
            (30.5 / 101, 200.5 / 1_001),
            (50.5 / 101, 400.5 / 1_001),
            (70.5 / 101, 600.5 / 1_001),
            (90.5 / 101, 800.5 / 1_001),
        )
    ]
    assert got.value == pytest.approx(0.1)
    assert got.low == pytest.approx(max(0.1 - 2.33 * min(sigmas), 0))
    assert got.high == pytest.approx(0.1 + 1.959964 * max(sigmas), rel=1e-6)
    far = measured(ks, counted([100, 0, 0, 0, 0]), counted([200] * 5))
    f, g = 100.5 / 101, 200.5 / 1_001
    assert far.low == pytest.approx(0.8 - 2.33 * math.sqrt(f * (1 - f) / 100 + g * (1 - g) / 1_000))
