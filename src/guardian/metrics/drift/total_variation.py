"""Total variation: the share of rows that would have to change cells to restore the reference's distribution.

    tv = (1/2) sum over the K judging cells of |q - p|

0 for equal shares, 1 for nothing in common. Absolute differences of samples are never 0, so the value is less
their bias; `detail.raw` is the plain sum, and intervals.absolute_sum says how the interval is made: it is
conservative near 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from guardian.metrics.base import Measured, Undefined
from guardian.metrics.cells import pair, smoothed
from guardian.metrics.intervals import absolute_sum, share_variance
from guardian.units import round_significant

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the total variation of a column or output; Undefined as PSI is."""
    both = pair(live, reference, subject)
    if isinstance(both, Undefined):
        return both
    n, n0, counts = both.n, both.grouping.n, both.counts()
    # Smoothed for the spread alone: an empty cell is not certain to be empty.
    q, p = smoothed(counts), both.grouping.shares
    differences = counts / n - both.grouping.counts / n0
    sigmas = np.sqrt(q * (1 - q) / n + p * (1 - p) / n0)
    # Cells that agree exactly have no sign; taking turns keeps the spread that like signs would lose.
    signs = np.where(differences == 0, 1.0 - 2.0 * (np.arange(both.size) % 2), np.sign(differences)) / 2
    sd = math.sqrt(share_variance(q, signs) / n + share_variance(p, signs) / n0)
    value, low, high = absolute_sum(differences, sigmas, 0.5, sd)
    raw = round_significant(float(np.abs(differences).sum()) / 2)
    detail = {"cells": both.size, "raw": raw} | both.stray_shares()
    return Measured(value, n, low, min(high, 1.0), fit=both.fit, detail=detail)
