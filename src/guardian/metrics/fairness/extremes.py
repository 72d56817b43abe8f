"""The extreme over pairs of groups, with an interval that is honest on both sides of any threshold.

A rule on an extreme is broken when *some* pair breaks it, and kept when *all* pairs keep it. So

* the end towards which the extreme was sought (high end of a least ratio, low end of a greatest difference) is the best of
  the pairs' ends, each at level 1 - 0.05 / pairs (Bonferroni): a gap is not found by looking at many pairs;
* the other end is the worst of the pairs' ends, each at the nominal level (intersection-union, Berger 1982).

Per pair: Katz's log ratio (+0.5) for ratios, Newcombe's method 10 for differences, written over all pairs at
once. `value` is the plain extreme, as fairlearn computes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from guardian.metrics.base import Z95, Measured, Undefined, Why
from guardian.metrics.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Measurement
    from guardian.metrics.fairness.groups import Groups


@dataclass(frozen=True, slots=True)
class Extreme:
    """A value, its interval, and the places of the groups with the lowest and the highest rate."""

    value: float
    low: float
    high: float
    between: tuple[int, int]


@lru_cache(maxsize=256)
def bonferroni(comparisons: int) -> float:
    """Return the normal quantile that keeps the two-sided 95 % over so many comparisons.

    >>> round(bonferroni(1), 2), round(bonferroni(36), 2)
    (1.96, 3.2)
    """
    return float(-ndtri(0.025 / comparisons))


@lru_cache(maxsize=256)
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(count, 1)


def pairs(groups: Groups) -> int:
    """Return how many pairs the groups make."""
    count = len(groups.names)
    return count * (count - 1) // 2


def greatest_difference(groups: Groups, comparisons: int | None = None) -> Extreme:
    """Return the greatest difference of rates; `comparisons` replaces the number of pairs for Bonferroni."""
    share = groups.hits / groups.rows
    first, second = _pairs(len(share))
    swap = share[first] < share[second]
    i, j = np.where(swap, second, first), np.where(swap, first, second)
    gap = share[i] - share[j]
    below, above = _wilson_distances(groups, share, bonferroni(comparisons or pairs(groups)))
    low = float((gap - np.hypot(below[i], above[j])).max())
    below, above = _wilson_distances(groups, share, Z95)
    high = float((gap + np.hypot(above[i], below[j])).max())
    return Extreme(float(gap.max()), max(low, 0.0), min(high, 1.0), _between(share))


def least_ratio(groups: Groups, comparisons: int | None = None) -> Extreme | None:
    """Return the least ratio of rates, the lower over the higher; None where no group has a hit."""
    share = groups.hits / groups.rows
    lowest, highest = between = _between(share)
    if not share[highest]:
        return None
    smoothed = (groups.hits + 0.5) / (groups.rows + 1)
    spread = (1 - smoothed) / (smoothed * groups.rows)
    first, second = _pairs(len(share))
    # The lower over the higher: minus the distance of the logs, whichever of the pair is which.
    log_ratio = -np.abs(np.log(smoothed[first] / smoothed[second]))
    se = np.sqrt(spread[first] + spread[second])
    value = float(share[lowest] / share[highest])
    low = math.exp(float((log_ratio - Z95 * se).min()))
    high = math.exp(float((log_ratio + bonferroni(comparisons or pairs(groups)) * se).min()))
    # Smoothing can carry an end past the plain value where a group has next to no hits.
    return Extreme(value, min(low, value), max(min(high, 1.0), value), between)


def lowest_rate(groups: Groups) -> Extreme:
    """Return the lowest rate; Bonferroni over the groups above, intersection-union below."""
    z = bonferroni(len(groups.names))
    counts = list(zip(groups.hits.tolist(), groups.rows.tolist(), strict=True))
    between = _between(groups.hits / groups.rows)
    hits, rows = counts[between[0]]
    low = min(wilson(k, n)[0] for k, n in counts)
    high = min(wilson(k, n, z)[1] for k, n in counts)
    return Extreme(hits / rows, low, high, between)


def measured(groups: Groups, extreme: Extreme | None) -> Measurement:
    """Return an extreme as a measurement that names its groups; None is not-defined."""
    if extreme is None:
        return Undefined(Why.NOT_DEFINED, groups.n, {"too_small": groups.too_small})
    return Measured(extreme.value, groups.n, extreme.low, extreme.high, detail=groups.detail(extreme.between))


def _between(share: NDArray[np.float64]) -> tuple[int, int]:
    return int(share.argmin()), int(share.argmax())


def _wilson_distances(groups: Groups, share: NDArray[np.float64], z: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far Wilson's ends lie below and above each group's share."""
    ends = np.array([wilson(k, n, z) for k, n in zip(groups.hits.tolist(), groups.rows.tolist(), strict=True)])
    return share - ends[:, 0], ends[:, 1] - share
