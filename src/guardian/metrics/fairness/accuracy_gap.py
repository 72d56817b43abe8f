"""Accuracy gap: the greatest difference of accuracy between two groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined
from guardian.metrics.fairness.extremes import greatest_difference, measured
from guardian.metrics.fairness.groups import groups_of

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure it over labelled rows. Undefined: no-labels, groups-too-small."""
    groups = groups_of(live, subject, options, "accuracy")
    return groups if isinstance(groups, Undefined) else measured(groups, greatest_difference(groups))
