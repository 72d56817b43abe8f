"""Equalized odds ratio: the lesser of the true and the false positive rate ratio (fairlearn's name).

Ratios of small rates exaggerate: a rule is better written on the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.fairness.extremes import least_ratio
from guardian.metrics.fairness.odds import measure_odds

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure it over labelled rows. Undefined: no-labels, one-class, groups-too-small, not-defined (no hit at all)."""
    return measure_odds(live, subject, options, least_ratio, min)
