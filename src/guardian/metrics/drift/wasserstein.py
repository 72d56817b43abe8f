"""Wasserstein distance (W1) of a number: how far its values moved, in standard deviations of the reference.

    w1 = sum over the edges of |F(e) - F0(e)| * (distance of the middles of the two bins that meet at e) / sd0

Each bin stands for its middle, values out of range for the range's end, and sd0 is the reference's standard deviation
over the same places. So it is not exact: over all rows of `car_value` in the car-loan data after their shift it is 0.928
where the values themselves give 0.939, and a value far out of range counts no more than one just outside. The value is
less the bias of small samples; intervals.absolute_sum says how its interval is made.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from guardian.metrics.base import Measured, Undefined, Why
from guardian.metrics.cells import smoothed
from guardian.metrics.drift.steps import steps
from guardian.metrics.intervals import absolute_sum, share_variance
from guardian.units import round_significant

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure W1 of a column or output; Undefined for categories and constants, otherwise as PSI is."""
    both = steps(live, reference, subject)
    if isinstance(both, Undefined):
        return both
    positions = both.positions
    spread = share_variance(both.reference / both.pair.grouping.n, positions)
    if spread <= 0:
        return Undefined(Why.NOT_DEFINED, both.pair.n)
    weights = np.diff(positions) / math.sqrt(spread)
    signs = np.where(both.gaps < 0, -1.0, 1.0)
    # A row in cell j is below every edge from j on: what it adds to the signed sum.
    steps_of_cell = np.append((weights * signs)[::-1].cumsum()[::-1], 0.0)
    variance = share_variance(smoothed(both.live), steps_of_cell) / both.pair.n
    variance += share_variance(smoothed(both.reference), steps_of_cell) / both.pair.grouping.n
    value, low, high = absolute_sum(both.gaps, both.sigmas, weights, math.sqrt(variance))
    raw = round_significant(float(weights @ np.abs(both.gaps)))
    detail = {"raw": raw} | both.pair.stray_shares()
    return Measured(value, both.pair.n, low, high, fit=both.pair.fit, detail=detail)
