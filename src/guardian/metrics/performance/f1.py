"""F1: the harmonic mean of precision and recall.

    J = TP / (TP + FP + FN)        F1 = 2 J / (1 + J)

J is a share, so F1 has Wilson's interval on J, mapped. The macro mean has a delta-method interval over the
cells of the confusion matrix, because one mistake is a miss of one class and a false alarm of another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from guardian.metrics.base import Z95, Measured, Undefined, Why
from guardian.metrics.performance.by_class import Macro, OneClass, measure_classes, plain_mean
from guardian.metrics.performance.rates import rate

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure F1; n is TP + FP + FN (macro: all rows). Undefined (one-class) where that is 0."""
    return measure_classes(live, subject, _f1, _macro)


def _f1(cells: OneClass) -> Measurement:
    involved = cells.tp + cells.fp + cells.fn
    if not involved:
        return Undefined(Why.ONE_CLASS, cells.tn)
    jaccard = rate(cells.tp, involved)
    low, value, high = (2 * j / (1 + j) for j in (jaccard.low, jaccard.value, jaccard.high))
    return Measured(value, involved, low, high, 2 * (jaccard.se or 0.0) / (1 + jaccard.value) ** 2)


def _macro(macro: Macro) -> Measured:
    """Return the mean, its error by the delta method, never below that of independent classes."""
    independent = plain_mean(macro)
    influence = np.zeros(macro.matrix.shape)
    n = macro.matrix.sum()
    for i, measured in macro.found.items():
        reach = (macro.matrix[i].sum() + macro.matrix[:, i].sum()) / n
        influence[i] -= measured.value / reach
        influence[:, i] -= measured.value / reach
        if i < len(macro.names) - 1:  # `(new)` is never a hit.
            influence[i, i] += 2 / reach
    influence /= len(macro.found)
    # Each class's influence averages to 0 over the rows, so the mean square is the variance.
    se = max(math.sqrt(float((macro.matrix * influence**2).sum())) / float(n), independent.se or 0.0)
    low, high = max(independent.value - Z95 * se, 0.0), min(independent.value + Z95 * se, 1.0)
    return Measured(independent.value, int(n), low, high, se)
