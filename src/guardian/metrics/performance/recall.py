"""Recall: of the rows that are of the class, the share predicted as it; Wilson's interval. Multiclass: the mean over classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined, Why
from guardian.metrics.performance.by_class import OneClass, measure_classes
from guardian.metrics.performance.rates import rate

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure recall; n is the rows of the class (macro: all). Undefined (one-class) where there is none."""
    return measure_classes(live, subject, _recall)


def _recall(cells: OneClass) -> Measurement:
    true = cells.tp + cells.fn
    return rate(cells.tp, true) if true else Undefined(Why.ONE_CLASS, cells.fp + cells.tn)
