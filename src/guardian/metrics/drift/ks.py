"""Kolmogorov-Smirnov distance of a number: the widest gap between two distribution functions.

    ks = max over the edges e of |F(e) - F0(e)|

F and F0 are the live and reference shares below an edge that panes count by (reference quantiles, the ends of
its range; hundredths for a score), so it is at most the distance over all values. The interval is that of the
widest gap: its lower end takes 2.33 standard deviations off each gap, because the widest of many is looked
for, its upper end adds 1.96.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.metrics.base import Z95, Measured, Undefined
from guardian.metrics.drift.steps import steps

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject

Z_LOW: Final = 2.33


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the KS distance of a column or output; Undefined for categories, otherwise as PSI is."""
    both = steps(live, reference, subject)
    if isinstance(both, Undefined):
        return both
    gaps = np.abs(both.gaps)
    return Measured(
        value=float(gaps.max()),
        n=both.pair.n,
        low=max(float((gaps - Z_LOW * both.sigmas).max()), 0.0),
        high=min(float((gaps + Z95 * both.sigmas).max()), 1.0),
        fit=both.pair.fit,
        detail={"edges": len(gaps)} | both.pair.stray_shares(),
    )
