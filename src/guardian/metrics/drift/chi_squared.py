"""Chi-squared divergence (phi squared): Pearson's statistic of a window against its reference, a live row.

    phi2 = sum over the K judging cells of (q - p)^2 / p

An effect size, not a test: it does not grow with the number of rows. Close to the PSI where drift is small,
larger where the window has gained in cells that are rare in the reference, which also makes its interval the
least steady of the divergences: for reports, not for rules.

Source: Pearson 1900, Phil. Mag. 50:157.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined
from guardian.metrics.cells import pair
from guardian.metrics.drift.divergence import Terms, measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the chi-squared divergence of a column or output; Undefined as PSI is."""
    both = pair(live, reference, subject)
    return both if isinstance(both, Undefined) else measured(both, terms)


def terms(q: NDArray[np.float64], p: NDArray[np.float64]) -> Terms:
    """Return the chi-squared divergence and its derivatives for positive shares.

    >>> import numpy as np
    >>> round(terms(np.array([0.5, 0.5]), np.array([0.9, 0.1])).value, 3)
    1.778
    """
    ratio = q / p
    return Terms(
        value=float((q - p) @ (ratio - 1)),
        by_live=2 * ratio,
        by_reference=-ratio * ratio,
        curve_live=2 / p,
        curve_reference=2 * ratio * ratio / p,
    )
