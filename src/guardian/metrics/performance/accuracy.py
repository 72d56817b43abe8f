"""Accuracy: the share of right decisions, with Wilson's interval.

Of one class of a multiclass model: the share of rows in which model and truth agree whether it is that class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined, Why
from guardian.metrics.performance.by_class import OneClass, measure_classes
from guardian.metrics.performance.cells import confusion
from guardian.metrics.performance.rates import rate

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measured, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the share of labelled rows whose prediction is the truth. Undefined: no-labels, no-reference (multiclass)."""
    if subject.of_class is not None:
        return measure_classes(live, subject, _agreement)
    if not live.parameters.classes:
        return Undefined(Why.NO_REFERENCE, live.labelled)
    matrix = confusion(live, subject)
    if not matrix.any():
        return Undefined(Why.NO_LABELS)
    right = matrix.diagonal()[: len(live.parameters.classes)]  # A class outside the reference is never right.
    return rate(int(right.sum()), int(matrix.sum()))


def _agreement(cells: OneClass) -> Measured:
    return rate(cells.tp + cells.tn, cells.tp + cells.fp + cells.fn + cells.tn)
