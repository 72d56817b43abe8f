"""A share of rows with its Wilson interval, and the plain mean of several independent shares.

Takes: integers. Gives: Measured. Never: reads counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from guardian.metrics.base import Z95, Measured
from guardian.metrics.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence


def rate(hits: int, rows: int) -> Measured:
    """Return `hits` of `rows` (at least one) with Wilson's interval.

    The standard error is sqrt(p q / n), but never less than what Wilson's interval gives a sample without a miss: a change from
    such a sample is not taken for certain.

    >>> round(rate(10, 10).low, 3), rate(50, 100).se
    (0.722, 0.05)
    """
    share = hits / rows
    low, high = wilson(hits, rows)
    se = max(math.sqrt(share * (1 - share) / rows), Z95 / (2 * (rows + Z95**2)))
    return Measured(share, rows, low, high, se)


def mean_of(rates: Sequence[Measured], n: int) -> Measured:
    """Return the unweighted mean of independent shares over `n` rows in all.

    The interval squares and adds each share's own distances (Zou and Donner 2008, Statistics in Medicine
    27:1693), which keeps Wilson's coverage near 0 and 1.
    """
    count = len(rates)
    value = sum(r.value for r in rates) / count
    below = math.sqrt(sum((r.value - r.low) ** 2 for r in rates)) / count
    above = math.sqrt(sum((r.high - r.value) ** 2 for r in rates)) / count
    se = math.sqrt(sum((r.se or 0.0) ** 2 for r in rates)) / count
    return Measured(value, n, max(value - below, 0.0), min(value + above, 1.0), se)
