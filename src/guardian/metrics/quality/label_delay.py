"""Label delay: within how many panes of their prediction's pane a given part of the labels arrived.

    the least d with at least `quantile` of the labels at most d panes late

Of the labels that are there: while a window is younger than its horizon the late ones are still out, and the
value rises. Its interval are two of the labels in order of delay, between which the population's quantile
lies with at least 95 % (binomial ranks).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, bdtrik

from guardian.metrics.base import Measured, Undefined, Why

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure a quantile of the delay in panes, `quantile` in (0, 1); Undefined without labels."""
    upto = live.part("delay/").cumsum()
    n = int(upto[-1])
    if n == 0:
        return Undefined(Why.NO_LABELS)
    quantile = options.parameters.get("quantile", 0.5)
    ranks = (math.ceil(quantile * n), binomial_quantile(0.025, n, quantile), binomial_quantile(0.975, n, quantile) + 1)
    value, low, high = np.searchsorted(upto, np.clip(ranks, 1, n)).tolist()
    return Measured(float(value), n, float(low), float(high))


def binomial_quantile(level: float, n: int, p: float) -> int:
    """Return the least k of which a binomial variable (n, p) stays at or below with chance `level`.

    >>> binomial_quantile(0.025, 100, 0.5), binomial_quantile(0.975, 100, 0.5)
    (40, 60)
    """
    k: int = math.ceil(bdtrik(level, n, p))
    return k - 1 if k > 0 and bdtr(k - 1, n, p) >= level else k
