"""Demographic parity ratio: the lowest selection rate over the highest (fairlearn's name)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined
from guardian.metrics.fairness.extremes import least_ratio, measured
from guardian.metrics.fairness.groups import groups_of

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the least ratio of selection rates. Undefined: no-data, groups-too-small, not-defined (no one selected)."""
    groups = groups_of(live, subject, options, "selection")
    return groups if isinstance(groups, Undefined) else measured(groups, least_ratio(groups))
