"""What performance metrics read of a window: the confusion matrix, the score histograms by truth, and the fixed-point sums.

Groups of a segment are added up: performance is of the model, not of a group. Never: computes a metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.catalog.parameters import NEW, SCORE_BINS
from guardian.metrics.base import Undefined, Why

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.catalog.parameters import Parameters
    from guardian.metrics.base import Counts, Subject

MIDS: Final[NDArray[np.float64]] = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS  # Mid points of the score bins.
MIDS.flags.writeable = False


def class_names(parameters: Parameters) -> tuple[str, ...]:
    """Return the name of every row and column of the confusion matrix; multiclass has `(new)` last."""
    return parameters.classes if parameters.task == "binary_classification" else (*parameters.classes, NEW)


def confusion(counts: Counts, subject: Subject) -> NDArray[np.int64]:
    """Return labelled rows by (predicted, true) class, in the order of `class_names`."""
    cells: NDArray[np.int64] = counts.part(f"labels/{subject.by or ''}").sum(axis=0)
    return cells.sum(axis=1) if counts.parameters.task == "binary_classification" else cells


def score_histograms(counts: Counts, subject: Subject) -> tuple[NDArray[np.int64], NDArray[np.int64]] | Undefined:
    """Return (positives, negatives) of a binary model by ascending score bin, shape (SCORE_BINS) each.

    Undefined where no row is labelled, or no labelled row has a score.
    """
    by_truth = counts.part(f"labels/{subject.by or ''}").sum(axis=(0, 1))
    if not by_truth.any():
        return Undefined(Why.NO_LABELS)
    positive = counts.parameters.positive
    positives, negatives = by_truth[:SCORE_BINS, positive], by_truth[:SCORE_BINS, 1 - positive]
    if not (positives.any() or negatives.any()):
        return Undefined(Why.NO_SCORE, int(by_truth.sum()))
    return positives, negatives


def score_sums(counts: Counts, subject: Subject) -> list[list[int]]:
    """Return [[scores, squared scores] by true class] in fixed point, as Python integers: no product overflows."""
    total: list[list[int]] = counts.part(f"sums/{subject.by or ''}").sum(axis=0).tolist()
    return total


def error_sums(counts: Counts, subject: Subject) -> list[int]:
    """Return [n, error, absolute error, squared error, label, squared label] of a regression, as Python integers.

    All but n are fixed point of the declared unit (squares: of the unit squared).
    """
    total: list[int] = counts.part(f"sums/{subject.by or ''}").sum(axis=0).tolist()
    return total
