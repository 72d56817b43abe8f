"""Intervals that metric families share: of shares, differences, ratios, sums of differences, divergences.

Every function takes counts or moments and gives (low, high) at the two-sided level of `z`, 95 % unless said
otherwise; the noncentral chi-squared one is 95 % always. Widths are never NaN: where nothing was observed the
interval is all that is possible.

Sources: Wilson 1927; Newcombe 1998 (method 10); Katz et al. 1978; Yurdakul 2018 and Potgieter et al.,
arXiv:2307.11878 (divergences).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import chdtri, chndtr, chndtrinc, ndtr

from guardian.metrics.base import Z95

if TYPE_CHECKING:
    from numpy.typing import NDArray

Interval = tuple[float, float]

INFLATION_MIN: Final = 0.5  # Bounds of how far the delta method may stretch the law of no drift.
INFLATION_MAX: Final = 5.0
STATISTIC_MIN: Final = 1e-9  # Below these chndtr has nothing to invert.
FREEDOM_MIN: Final = 1e-3
NEAR: Final = 2.0  # Standard deviations within which a difference is taken for none when its bias is bounded.


def wilson(k: float, n: float, z: float = Z95) -> Interval:
    """Return the interval of a share, `k` of `n`, within [0, 1]; (0, 1) for n = 0.

    >>> [round(x, 4) for x in wilson(0, 50)], [round(x, 4) for x in wilson(8, 10)]
    ([0.0, 0.0713], [0.4902, 0.9433])
    """
    if n <= 0:
        return 0.0, 1.0
    share = k / n
    spread = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / spread
    half = z * math.sqrt(max(share * (1 - share), 0.0) / n + z * z / (4 * n * n)) / spread
    low = 0.0 if k <= 0 else max(middle - half, 0.0)
    return low, 1.0 if k >= n else min(middle + half, 1.0)


def newcombe(k1: float, n1: float, k2: float, n2: float, z: float = Z95) -> Interval:
    """Return the interval of the difference p1 - p2 of two independent shares, within [-1, 1].

    >>> [round(x, 4) for x in newcombe(56, 70, 48, 80)]  # Newcombe's own example (a)
    [0.0524, 0.3339]
    """
    if n1 <= 0 or n2 <= 0:
        return -1.0, 1.0
    p1, p2 = k1 / n1, k2 / n2
    (low1, high1), (low2, high2) = wilson(k1, n1, z), wilson(k2, n2, z)
    difference = p1 - p2
    return difference - math.hypot(p1 - low1, high2 - p2), difference + math.hypot(high1 - p1, p2 - low2)


def katz(k1: float, n1: float, k2: float, n2: float, z: float = Z95) -> Interval:
    """Return the interval of the ratio p1 / p2 of two independent shares, each taken as (k + 0.5) / (n + 1).

    >>> [round(x, 3) for x in katz(40, 100, 50, 100)], katz(0, 0, 5, 10)
    ([0.588, 1.093], (0.0, inf))
    """
    if n1 <= 0 or n2 <= 0:
        return 0.0, math.inf
    p1, p2 = (k1 + 0.5) / (n1 + 1), (k2 + 0.5) / (n2 + 1)
    half = z * math.sqrt((1 - p1) / (p1 * n1) + (1 - p2) / (p2 * n2))
    ratio = p1 / p2
    return ratio * math.exp(-half), ratio * math.exp(half)


def around(value: float, se: float, z: float = Z95) -> Interval:
    """Return `value` plus and minus z standard errors."""
    return value - z * se, value + z * se


def absolute_bias(differences: NDArray[np.float64], sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bound, element by element, how much |difference| exceeds the absolute true difference on average.

    A difference within two of its standard deviations is taken for no difference at all (the largest bias,
    sqrt(2/pi) sigma); beyond, it has the excess of a folded normal. Shapes are equal and kept; sigmas are >=
    0.
    """
    size = np.abs(differences)
    z = size / np.maximum(sigmas, np.finfo(np.float64).tiny)
    half_normal = math.sqrt(2 / math.pi) * sigmas
    excess = half_normal * np.exp(-0.5 * np.minimum(z, 40.0) ** 2) - 2 * size * ndtr(-z)
    return np.where(z < NEAR, half_normal, np.maximum(excess, 0.0))


def absolute_sum(
    differences: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    weights: NDArray[np.float64] | float,
    sd: float,
) -> tuple[float, float, float]:
    """Return estimate, low and high of sum(weights * |true difference|), none of them negative.

    The estimate is the raw sum less its bias (`absolute_bias`); low is that less 1.96 `sd`, high the raw sum
    plus 1.96 `sd`, so the interval is conservative near 0. `sd` is the delta method's, with the signs of the
    differences as weights.
    """
    raw = float((weights * np.abs(differences)).sum())
    estimate = raw - float((weights * absolute_bias(differences, sigmas)).sum())
    return max(estimate, 0.0), max(estimate - Z95 * sd, 0.0), raw + Z95 * sd


def divergence_interval(value: float, bias: float, variance: float, scale: float) -> Interval:
    """Return the 95 % interval of a population divergence from its plug-in value, neither end negative.

    The plug-in value is taken for s' times a noncentral chi-squared variable of nu = bias / s' degrees of
    freedom, where s' is `scale` stretched until the variance is the delta method's; its noncentrality times
    s' is the population's divergence.

    Args:
        value: Plug-in divergence of the smoothed shares.
        bias: Its mean where there is no drift.
        variance: Its variance by the delta method.
        scale: What the divergence is, in chi-squared variables, where there is no drift: 1/n + 1/n0 for PSI.

    >>> [round(x, 4) for x in divergence_interval(0.2, 0.009, 8e-4, 0.001)]
    [0.141, 0.2507]
    """
    stretch = variance / max(4 * value * scale, 1e-12)
    step = scale * min(max(stretch, INFLATION_MIN), INFLATION_MAX)
    statistic, freedom = max(value / step, STATISTIC_MIN), max(bias / step, FREEDOM_MIN)
    at_zero = chndtr(statistic, freedom, 0.0)
    low = float(chndtrinc(statistic, freedom, 0.975)) * step if at_zero > 0.975 else 0.0
    high = float(chndtrinc(statistic, freedom, 0.025)) * step if at_zero > 0.025 else 0.0
    return low, high


@lru_cache(maxsize=1024)
def chi_squared_critical(freedom: int) -> float:
    """Return the 95 % quantile of the chi-squared distribution; 0 for no degree of freedom.

    >>> round(chi_squared_critical(9), 3)
    16.919
    """
    return float(chdtri(freedom, 0.05)) if freedom > 0 else 0.0


def share_variance(shares: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the variance of `values` drawn with the probabilities `shares`: n times that of their mean over n rows.

    >>> share_variance(np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    0.25
    """
    weighted = shares * values
    return max(float(weighted @ values) - float(weighted.sum()) ** 2, 0.0)
