"""False positive rate difference: the greatest difference of the rate of false alarms between two groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined
from guardian.metrics.fairness.extremes import greatest_difference, measured
from guardian.metrics.fairness.groups import groups_of

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure it among rows whose truth is negative. Undefined: no-labels, one-class, groups-too-small."""
    groups = groups_of(live, subject, options, "false_positive")
    return groups if isinstance(groups, Undefined) else measured(groups, greatest_difference(groups))
