"""Bias: the mean of prediction minus truth, in the label's own unit, +- t sd / sqrt(n) with the sd from the exact sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined, Why
from guardian.metrics.performance.cells import error_sums
from guardian.metrics.performance.means import mean
from guardian.units import FIXED_POINT

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the mean error; Undefined: no-labels, too-few-rows."""
    n, error, _, squared, _, _ = error_sums(live, subject)
    if not n:
        return Undefined(Why.NO_LABELS)
    unit = live.parameters.unit
    value = error / (FIXED_POINT * n)
    return mean(value * unit, (squared / (FIXED_POINT * n) - value**2) * unit**2, n)
