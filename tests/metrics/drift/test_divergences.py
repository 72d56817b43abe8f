"""The f-divergences: scipy as oracle, derivatives by differences, the laws of a divergence, and what cannot be compared."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import chi2, chisquare

from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject, Undefined, Why
from guardian.metrics.drift import chi_squared, js_distance, psi
from guardian.testing.counts import TableCounts, counts_from_rows

DIVERGENCES = [psi, js_distance, chi_squared]
WHAT = Subject(column="c")
KEYS = ("a", "b", "c", "d")
common = st.lists(st.integers(50, 5_000), min_size=4, max_size=4)  # No cell is merged: each holds at least 1 %.
any_counts = st.lists(st.integers(0, 5_000), min_size=4, max_size=4).filter(any)
shares = st.lists(st.floats(0.05, 1), min_size=3, max_size=8).map(lambda x: np.array(x) / sum(x))


def counted(cells, new=0, missing=0, keys=KEYS) -> TableCounts:
    parameters = Parameters("regression", (CategoricalColumn("c", keys),), (), -1, None, (), 0)
    return TableCounts(parameters, sum(cells) + new + missing, 0, {"column/c": np.array([*cells, new, missing], np.int64)})


def plug_in(q: np.ndarray, p: np.ndarray) -> dict[object, float]:
    return {
        psi: rel_entr(q, p).sum() + rel_entr(p, q).sum(),
        js_distance: (rel_entr(q, (p + q) / 2).sum() + rel_entr(p, (p + q) / 2).sum()) / 2,
        chi_squared: chisquare(q * 1e6, p * 1e6).statistic / 1e6,
    }


@given(shares, st.data())
def test_values_agree_with_scipy(p, data):
    q = data.draw(shares.filter(lambda x: len(x) == len(p)))
    for metric, want in plug_in(q, p).items():
        assert metric.terms(q, p).value == pytest.approx(want, rel=1e-9, abs=1e-12)


def test_the_distance_is_scipys():
    q, p = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.3, 0.4])
    assert js_distance.distance(js_distance.terms(q, p).value) == pytest.approx(jensenshannon(q, p), rel=1e-12)
    assert js_distance.distance(0.7) == math.sqrt(math.log(2))  # No interval reaches beyond nothing in common.


@pytest.mark.parametrize("metric", DIVERGENCES)
def test_derivatives_are_those_of_the_value(metric):
    """Goal: first and second derivatives. Method: central differences in each cell; first ones up to one constant."""
    rng, step = np.random.default_rng(3), 1e-5
    q, p = (rng.dirichlet(np.full(6, 4.0)) for _ in range(2))
    at = {"by_live": [], "by_reference": [], "curve_live": [], "curve_reference": []}

    def value(q, p):
        # The terms' own value presumes shares; these do not sum to 1, so the plain sums are written out.
        m = (p + q) / 2
        return {
            psi: ((q - p) * np.log(q / p)).sum(),
            js_distance: (q * np.log(q / m) + p * np.log(p / m)).sum() / 2,
            chi_squared: ((q - p) ** 2 / p).sum(),
        }[metric]

    for unit in np.eye(6) * step:
        up, mid, down = value(q + unit, p), value(q, p), value(q - unit, p)
        at["by_live"].append((up - down) / (2 * step))
        at["curve_live"].append((up - 2 * mid + down) / step**2)
        up, down = value(q, p + unit), value(q, p - unit)
        at["by_reference"].append((up - down) / (2 * step))
        at["curve_reference"].append((up - 2 * mid + down) / step**2)
    got = metric.terms(q, p)
    for name in ("by_live", "by_reference"):
        constant = np.array(at[name]) - getattr(got, name)
        assert constant == pytest.approx(constant[0], abs=1e-6)
    for name in ("curve_live", "curve_reference"):
        assert getattr(got, name) == pytest.approx(at[name], rel=1e-3)


@pytest.mark.parametrize("metric", [psi, js_distance])
@given(p=shares, data=st.data())
def test_symmetric_ones_are_symmetric(metric, p, data):
    q = data.draw(shares.filter(lambda x: len(x) == len(p)))
    assert metric.terms(q, p).value == pytest.approx(metric.terms(p, q).value, abs=1e-12)


@pytest.mark.parametrize("metric", DIVERGENCES)
@given(reference=any_counts, live=any_counts)
def test_the_value_lies_in_its_interval_and_both_are_finite(metric, reference, live):
    got = metric.measure(counted(live), counted(reference), WHAT, Options())
    assert isinstance(got, Measured)
    assert 0 <= got.low <= got.high < math.inf
    assert got.low - 1e-12 <= got.value <= max(got.high, got.value * (1 + 1e-12))
    assert got.n == sum(live)


@pytest.mark.parametrize("metric", DIVERGENCES)
@given(reference=common)
def test_equal_shares_are_no_drift(metric, reference):
    got = metric.measure(counted(reference), counted(reference), WHAT, Options())
    assert (got.value, got.low) == (0, 0)


@pytest.mark.parametrize("metric", DIVERGENCES)
def test_more_rows_narrow_the_interval(metric):
    reference = counted([40_000, 30_000, 20_000, 10_000])
    found = [metric.measure(counted([k * 3, k * 3, k * 2, k * 2]), reference, WHAT, Options()) for k in (10, 100, 1_000)]
    widths = [m.high - m.low for m in found]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("metric", DIVERGENCES)
def test_moving_rows_away_raises_every_number(metric):
    reference = counted([4_000, 3_000, 2_000, 1_000])
    found = [metric.measure(counted([400 - k, 300, 200, 100 + k]), reference, WHAT, Options()) for k in (60, 120, 200, 300)]
    for numbers in zip(*((m.value, m.low, m.high) for m in found), strict=True):
        assert list(numbers) == sorted(numbers)


def test_no_drift_is_the_law_of_pearsons_statistic():
    got = psi.measure(counted([40, 30, 20, 10]), counted([4_000, 3_000, 2_000, 1_000]), WHAT, Options())
    scale = 1 / 100 + 1 / 10_000
    assert got.detail["no_drift"] == pytest.approx(scale * chi2.ppf(0.95, 3), rel=1e-8)
    distance = js_distance.measure(counted([40, 30, 20, 10]), counted([4_000, 3_000, 2_000, 1_000]), WHAT, Options())
    assert distance.detail["no_drift"] == pytest.approx(math.sqrt(scale / 8 * chi2.ppf(0.95, 3)), rel=1e-8)


def test_it_fits_from_five_expected_rows_in_every_cell():
    reference = counted([400, 300, 200, 100])
    found = [psi.measure(counted([n - 30, 10, 10, 10]), reference, WHAT, Options()).fit for n in (49, 50)]
    assert found == [False, True]


def test_new_categories_count_with_the_rarest_and_are_told():
    reference = counted([4_000, 3_000, 2_000, 1_000])
    got = psi.measure(counted([400, 300, 200, 0], new=100, missing=7), reference, WHAT, Options())
    assert (got.value, got.n) == (0, 1_000)
    assert got.detail == {"cells": 4, "no_drift": got.detail["no_drift"], "new": 0.1}


def test_a_categorical_constant_that_changes_has_drifted():
    got = psi.measure(counted([0, 0, 0, 0], new=600), counted([50_000, 0, 0, 0]), WHAT, Options())
    assert got.low > 1
    quiet = psi.measure(counted([600, 0, 0, 0]), counted([50_000, 0, 0, 0]), WHAT, Options())
    assert (quiet.low, quiet.fit) == (0, False)  # Never satisfied: an empty cell expects no row.


def test_a_numeric_constant_that_changes_has_drifted():
    column = NumericColumn("c", (), 1.0, 1.0)
    parameters = Parameters("regression", (column,), (), -1, NumericColumn("prediction", (0.5,), 0, 1), (), 0)

    def rows(value: float, n: int) -> TableCounts:
        return counts_from_rows(parameters, {"c": [value] * n}, [0.2] * n)

    assert psi.measure(rows(2.0, 100), rows(1.0, 1_000), WHAT, Options()).low > 1
    assert psi.measure(rows(1.0, 100), rows(1.0, 1_000), WHAT, Options()).low == 0


@pytest.mark.parametrize("metric", DIVERGENCES)
def test_what_cannot_be_compared_says_why(metric):
    full, empty = counted([4, 3, 2, 1]), counted([0, 0, 0, 0], missing=5)
    other = counted([4, 3, 2, 1], keys=("a", "b", "c", "e"))

    def why(live, reference, subject=WHAT):
        return metric.measure(live, reference, subject, Options())

    assert why(full, None) == Undefined(Why.NO_REFERENCE)
    assert why(full, empty) == Undefined(Why.NO_REFERENCE, 10)
    assert why(empty, full) == Undefined(Why.NO_DATA)
    assert why(full, other) == Undefined(Why.PARAMETERS_CHANGED)
    assert why(full, full, Subject()) == Undefined(Why.NOT_DEFINED)
