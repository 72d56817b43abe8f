"""The mean of a quantity over rows, with its interval: mean +- t sd / sqrt(n). Never: reads counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import stdtrit

from guardian.metrics.base import Z95, Measured, Measurement, Undefined, Why

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mean(value: float, variance: float, n: int, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Measurement:
    """Return a mean over `n` rows whose plug-in variance (divisor n) is `variance`; the interval stays within `bounds`.

    t is Student's quantile of n - 1 degrees of freedom: 1.96 for a window of any size, more for a handful of
    rows. The standard error is scaled so that 1.96 of it gives the same interval. Undefined (too-few-rows)
    below two rows: one row says nothing of a spread.

    >>> round(mean(0.5, 0.25, 1_000_001).se, 7), round(mean(0.5, 0.25, 3).high, 3)
    (0.0005, 2.021)
    """
    if n < 2:
        return Undefined(Why.TOO_FEW_ROWS, n)
    half = float(stdtrit(n - 1, 0.975)) * math.sqrt(max(variance, 0.0) / (n - 1))
    low, high = max(value - half, bounds[0]), min(value + half, bounds[1])
    return Measured(value, n, low, high, half / Z95)


def moments(rows: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and variance (divisor n) of a quantity that is `values` in cells of `rows` rows; at least one row."""
    n = rows.sum()
    middle = float((rows * values).sum() / n)
    return middle, float((rows * (values - middle) ** 2).sum() / n)
