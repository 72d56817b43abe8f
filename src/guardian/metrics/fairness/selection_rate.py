"""Lowest selection rate: the share that gets the positive decision in the group that gets it least often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined
from guardian.metrics.fairness.extremes import lowest_rate, measured
from guardian.metrics.fairness.groups import groups_of

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the lowest selection rate; `detail` holds every group's. Undefined: no-data, groups-too-small."""
    groups = groups_of(live, subject, options, "selection")
    return groups if isinstance(groups, Undefined) else measured(groups, lowest_rate(groups))
