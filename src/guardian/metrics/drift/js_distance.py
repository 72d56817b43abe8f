"""Jensen-Shannon distance: a bounded distance between a column of a window and its reference.

    js = sqrt((1/2) sum q ln(q / m) + (1/2) sum p ln(p / m)),   m = (p + q) / 2

in square roots of nats: 0 for equal shares, sqrt(ln 2) = 0.833 for nothing in common, symmetric, and a
metric. The divergence under the root is about an eighth of the PSI where drift is small, so 0.112 and 0.158
stand for PSI 0.1 and 0.2. Bias is taken off the divergence before the root.

Sources: Lin 1991, IEEE Trans. Inf. Theory 37:145; Endres and Schindelin 2003 (the root is a metric).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.metrics.base import Undefined
from guardian.metrics.cells import pair
from guardian.metrics.drift.divergence import Terms, measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Measurement, Options, Subject

FACTOR: Final = 1 / 8  # Of Pearson's statistic a row, near no drift.


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the Jensen-Shannon distance of a column or output; Undefined as PSI is."""
    both = pair(live, reference, subject)
    return both if isinstance(both, Undefined) else measured(both, terms, factor=FACTOR, unit=distance)


def distance(divergence: float) -> float:
    """Return the distance for a divergence in nats; no interval reaches beyond nothing in common.

    >>> round(distance(0.1 / 8), 3), round(distance(0.2 / 8), 3), round(distance(9.0), 3)
    (0.112, 0.158, 0.833)
    """
    return math.sqrt(min(divergence, math.log(2)))


def terms(q: NDArray[np.float64], p: NDArray[np.float64]) -> Terms:
    """Return the Jensen-Shannon divergence in nats and its derivatives for positive shares."""
    middle = (p + q) / 2
    by_live, by_reference = np.log(q / middle) / 2, np.log(p / middle) / 2
    return Terms(
        value=max(float(q @ by_live) + float(p @ by_reference), 0.0),
        by_live=by_live,
        by_reference=by_reference,
        curve_live=p / (4 * middle * q),
        curve_reference=q / (4 * middle * p),
    )
