"""Population stability index (PSI): how far a column of a window has left its reference, in nats.

    psi = sum over the K judging cells of (q - p) ln(q / p)

q and p are the live and reference shares of the cells (metrics.cells), each cell first given half a row. 0 is
none; by custom 0.1 is noticeable and 0.2 large. The value is less the bias of small samples, so it is about 0
without drift whatever the number of rows; `detail.no_drift` is what the raw index would stay below in 95 of
100 windows without drift.

Sources: Jeffreys 1946, Proc. R. Soc. A 186:453 (the divergence); Yurdakul 2018 (its law).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from guardian.metrics.base import Undefined
from guardian.metrics.cells import pair
from guardian.metrics.drift.divergence import Terms, measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the PSI of a column or output; Undefined without a reference or without values on a side."""
    both = pair(live, reference, subject)
    return both if isinstance(both, Undefined) else measured(both, terms)


def terms(q: NDArray[np.float64], p: NDArray[np.float64]) -> Terms:
    """Return PSI and its derivatives for positive shares.

    >>> round(terms(np.array([0.5, 0.5]), np.array([0.9, 0.1])).value, 3)
    0.879
    """
    log, ratio = np.log(q / p), p / q
    back = 1 / ratio
    return Terms(
        value=float((q - p) @ log),
        by_live=log - ratio,
        by_reference=-log - back,
        curve_live=(1 + ratio) / q,
        curve_reference=(1 + back) / p,
    )
