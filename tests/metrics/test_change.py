"""Change from the reference: signs, the combined error, the log scale, and what has no answer."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.metrics.base import Z95, Measured, Undefined, Why
from guardian.metrics.change import change

values = st.floats(0.001, 0.999)
errors = st.floats(0.0, 0.2)


def measured(value, se, n=100, **more):
    return Measured(value, n, value - 1.96 * (se or 0), value + 1.96 * (se or 0), se, **more)


@given(values, values, errors, errors)
def test_a_rise_is_a_drop_turned_round(live, reference, a, b):
    drop = change(measured(live, a), measured(reference, b), "drop")
    rise = change(measured(live, a), measured(reference, b), "rise")
    assert (rise.value, rise.low, rise.high) == pytest.approx((-drop.value, -drop.high, -drop.low), abs=1e-12)
    assert drop.value == pytest.approx(reference - live)
    assert drop.high - drop.low == pytest.approx(2 * Z95 * math.hypot(a, b))


@given(values, values, errors, errors)
def test_a_ratio_is_symmetric_on_the_log_scale(live, reference, a, b):
    got = change(measured(live, a), measured(reference, b), "ratio")
    assert got.value == pytest.approx(live / reference)
    assert 0 <= got.low <= got.value <= got.high
    json.dumps([got.low, got.high], allow_nan=False)
    half = Z95 * math.hypot(a / live, b / reference)
    if half < 300:
        assert math.log(got.high / got.value) == pytest.approx(half, abs=1e-9)
        assert math.log(got.value / got.low) == pytest.approx(half, abs=1e-9)


def test_rows_are_the_live_ones_and_both_values_are_kept():
    live = measured(0.8, 0.01, n=7, detail={"raw": 1.0})
    got = change(live, measured(0.9, 0.01, n=5000), "drop")
    assert got.n == 7
    assert got.detail == {"raw": 1.0, "live": 0.8, "reference": 0.9}


def test_the_condition_of_either_side_holds_for_the_change():
    assert not change(measured(0.8, 0.1, fit=False), measured(0.9, 0.1), "drop").fit
    assert not change(measured(0.8, 0.1), measured(0.9, 0.1, fit=False), "ratio").fit


@pytest.mark.parametrize("kind", ["drop", "rise", "ratio"])
def test_without_a_standard_error_there_is_no_change(kind):
    assert change(measured(0.8, None), measured(0.9, 0.1), kind).why == Why.NOT_DEFINED
    assert change(measured(0.8, 0.1), measured(0.9, None), kind).why == Why.NOT_DEFINED


@pytest.mark.parametrize(("live", "reference"), [(0.5, 0.0), (0.5, -0.1), (-0.1, 0.5)])
def test_a_ratio_needs_a_positive_reference(live, reference):
    got = change(measured(live, 0.1), measured(reference, 0.1), "ratio")
    assert isinstance(got, Undefined)
    assert got.why == Why.NOT_DEFINED


def test_a_live_value_of_nothing_is_a_ratio_of_nothing_with_an_upper_end():
    got = change(Measured(0.0, 20, 0.0, 0.16, se=0.04), measured(0.8, 0.01), "ratio")
    assert (got.value, got.low) == (0.0, 0.0)
    assert 0.16 / 0.8 < got.high < 0.22


def test_the_interval_of_a_difference_covers_as_it_says():
    """Goal: 95 %. Method: 4,000 seeded pairs of shares; the Monte Carlo error of a coverage of 0.95 is 0.0034."""
    from guardian.metrics.performance.rates import rate

    rng, draws = np.random.default_rng(5), 4_000
    live, reference = rng.binomial(900, 0.82, draws), rng.binomial(5_000, 0.85, draws)
    found = [change(rate(a, 900), rate(b, 5_000), "drop") for a, b in zip(live.tolist(), reference.tolist(), strict=True)]
    assert np.mean([m.low <= 0.03 <= m.high for m in found]) == pytest.approx(0.95, abs=0.011)
