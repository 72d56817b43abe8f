"""Equalized odds difference: the greater of the true and the false positive rate difference (fairlearn's name)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.fairness.extremes import greatest_difference
from guardian.metrics.fairness.odds import measure_odds

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure it over labelled rows. Undefined: no-labels, one-class, groups-too-small."""
    return measure_odds(live, subject, options, greatest_difference, max)
