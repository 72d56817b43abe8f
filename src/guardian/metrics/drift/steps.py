"""Distribution functions of a number on both sides, at the edges that panes count by.

What KS and Wasserstein compare. Below and above range are steps of their own here: unlike a divergence, a
distribution function needs no full cells. Between two edges nothing is known, so both distances are those of
the binned values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from guardian.catalog.parameters import NumericColumn
from guardian.metrics.base import Undefined, Why
from guardian.metrics.cells import PSEUDO_COUNT, Stored, pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Subject
    from guardian.metrics.cells import Pair


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Both distribution functions at E edges, from E + 1 ordered cells.

    Attributes:
        pair: Both sides.
        column: What the cells mean.
        live: Live rows of the ordered cells, (E + 1,): below range, bins, above range.
        reference: Reference rows, likewise.
        gaps: Live less reference share below each edge, (E,).
        sigmas: Standard deviation of each gap, from smoothed shares so that an empty side is not certain,
            (E,).
    """

    pair: Pair
    column: NumericColumn
    live: NDArray[np.int64]
    reference: NDArray[np.int64]
    gaps: NDArray[np.float64]
    sigmas: NDArray[np.float64]

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where each ordered cell lies, in the column's unit: middles of bins, the range's ends for strays."""
        bounds = np.array((self.column.low, *self.column.edges, self.column.high))
        middles = (bounds[:-1] + bounds[1:]) / 2
        strays = len(self.live) > len(middles)
        return np.concatenate(([self.column.low], middles, [self.column.high])) if strays else middles


def steps(live: Counts, reference: Counts | None, subject: Subject) -> Steps | Undefined:
    """Return both distribution functions; Undefined as for divergences, and for what is no number."""
    both = pair(live, reference, subject)
    if isinstance(both, Undefined):
        return both
    column = both.live.column
    if not isinstance(column, NumericColumn):
        return Undefined(Why.NOT_DEFINED, both.n)
    n, n0 = both.n, both.grouping.n
    ours, theirs = _in_order(both.live), _in_order(both.reference)
    below, below0 = ours.cumsum()[:-1], theirs.cumsum()[:-1]
    spread = _smoothed_variance(below, n) + _smoothed_variance(below0, n0)
    return Steps(both, column, ours, theirs, below / n - below0 / n0, np.sqrt(spread))


def _in_order(side: Stored) -> NDArray[np.int64]:
    return np.concatenate((side.strays[:1], side.inside, side.strays[1:]))


def _smoothed_variance(counts: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    shares = (counts + PSEUDO_COUNT) / (n + 2 * PSEUDO_COUNT)
    variance: NDArray[np.float64] = shares * (1 - shares) / n
    return variance
