"""f-divergences of two count vectors: estimate, interval and the value that no drift would give.

A divergence J of n live and n0 reference rows is biased upwards, by as much as drift worth seeing when n is
small. So the estimate is J less its bias, and the interval inverts a scaled noncentral chi-squared law
(intervals.divergence_interval) whose variance is the delta method's:

    bias     = min((1/2n) sum c_q q (1 - q) + (1/2n0) sum c_p p (1 - p), (K - 1) s)
    variance = Var_q(g) / n + Var_p(h) / n0

with g and h the derivatives of J by live and reference share, c_q and c_p the second derivatives, K the
number of cells and s = 1/n + 1/n0 times the divergence's own factor.

Sources: Yurdakul 2018 (PSI's law); Potgieter et al., arXiv:2307.11878 (why a fixed cut-off misleads).
Coverage is pinned in tests/metrics/drift/test_coverage.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardian.metrics.base import Measured
from guardian.metrics.cells import smoothed
from guardian.metrics.intervals import chi_squared_critical, divergence_interval, share_variance
from guardian.units import round_significant

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from guardian.metrics.cells import Pair


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A divergence of live shares q from reference shares p, with its derivatives, all of the shape of q.

    Attributes:
        value: The divergence.
        by_live: First derivative by q, up to a constant.
        by_reference: First derivative by p, up to a constant.
        curve_live: Second derivative by q.
        curve_reference: Second derivative by p.
    """

    value: float
    by_live: NDArray[np.float64]
    by_reference: NDArray[np.float64]
    curve_live: NDArray[np.float64]
    curve_reference: NDArray[np.float64]


def measured(
    pair: Pair,
    terms_of: Callable[[NDArray[np.float64], NDArray[np.float64]], Terms],
    *,
    factor: float = 1.0,
    unit: Callable[[float], float] = float,
) -> Measured:
    """Measure the divergence that `terms_of(q, p)` gives.

    Args:
        pair: Both sides, each with at least one row.
        terms_of: The divergence of smoothed shares.
        factor: Of the divergence against Pearson's statistic a row, near no drift.
        unit: Increasing map from the divergence to what is reported, applied at the end.
    """
    cells, n, n0 = pair.size, pair.n, pair.grouping.n
    p = pair.grouping.shares
    q = smoothed(pair.counts())
    terms = terms_of(q, p)
    scale = factor * (1 / n + 1 / n0)
    bias = float((terms.curve_live * q) @ (1 - q)) / (2 * n)
    bias += float((terms.curve_reference * p) @ (1 - p)) / (2 * n0)
    bias = min(bias, (cells - 1) * scale)
    variance = share_variance(q, terms.by_live) / n + share_variance(p, terms.by_reference) / n0
    low, high = divergence_interval(terms.value, bias, variance, scale)
    detail = {"cells": cells, "no_drift": round_significant(unit(scale * chi_squared_critical(cells - 1)))}
    return Measured(
        value=unit(max(terms.value - bias, 0.0)),
        n=n,
        low=unit(low),
        high=unit(high),
        fit=pair.fit,
        detail=detail | pair.stray_shares(),
    )
