"""Precision: of the rows predicted as the class, the share that is; Wilson's interval. Multiclass: the mean over classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined, Why
from guardian.metrics.performance.by_class import OneClass, measure_classes
from guardian.metrics.performance.rates import rate

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure precision; n is the rows predicted as the class (macro: all). Not defined where none is."""
    return measure_classes(live, subject, _precision)


def _precision(cells: OneClass) -> Measurement:
    predicted = cells.tp + cells.fp
    return rate(cells.tp, predicted) if predicted else Undefined(Why.NOT_DEFINED)
