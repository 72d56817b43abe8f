"""Balanced accuracy: the mean over the true classes of the share that was recognised.

Of one class of a multiclass model: that class against the rest, (recall + specificity) / 2. The interval
squares and adds the distances of the classes' Wilson intervals; the classes' rows are disjoint, so their
shares are independent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Measured, Undefined, Why
from guardian.metrics.performance.by_class import OneClass, measure_classes
from guardian.metrics.performance.rates import mean_of, rate

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure balanced accuracy over all labelled rows; Undefined (one-class) where fewer than two classes are true."""
    if subject.of_class is not None or live.parameters.task == "binary_classification":
        return measure_classes(live, subject, _of_two)
    found = measure_classes(live, subject, _recall)
    if isinstance(found, Measured) and len(found.detail["classes"]) < 2:
        return Undefined(Why.ONE_CLASS, found.n, found.detail)
    return found


def _of_two(cells: OneClass) -> Measurement:
    true, other = cells.tp + cells.fn, cells.fp + cells.tn
    if not (true and other):
        return Undefined(Why.ONE_CLASS, true + other)
    return mean_of([rate(cells.tp, true), rate(cells.tn, other)], true + other)


def _recall(cells: OneClass) -> Measured:
    return rate(cells.tp, cells.tp + cells.fn)  # Never empty: classes without truth are left out of the mean.
