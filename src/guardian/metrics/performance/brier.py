"""Brier score: the mean squared distance between the score and what happened (1 or 0).

    mean = (sum of squared scores - 2 * sum of the positives' scores + positives) / n

exact from the fixed-point sums (each row to 2^-20); only the spread, hence the interval, is taken from score
bins by truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from guardian.metrics.base import Undefined
from guardian.metrics.performance.cells import MIDS, score_histograms, score_sums
from guardian.metrics.performance.means import mean, moments
from guardian.units import FIXED_POINT

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the Brier score over labelled rows with a score; Undefined: no-labels, no-score, too-few-rows."""
    found = score_histograms(live, subject)
    if isinstance(found, Undefined):
        return found
    positives, negatives = found
    n = int(positives.sum() + negatives.sum())
    sums = score_sums(live, subject)
    squared, of_positives = sums[0][1] + sums[1][1], sums[live.parameters.positive][0]
    total = squared - 2 * of_positives + int(positives.sum()) * FIXED_POINT
    _, variance = moments(np.concatenate([positives, negatives]), np.concatenate([(1 - MIDS) ** 2, MIDS**2]))
    return mean(max(total, 0) / (FIXED_POINT * n), variance, n, (0.0, 1.0))
