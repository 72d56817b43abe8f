"""Out-of-range share: how many values of a number lie outside the reference's range.

    (below + above) / values, by Wilson's interval

The range is the reference's least to greatest value, both within. Missing values are no values. A score is
never out of range: an event whose score is none in [0, 1] is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guardian.metrics.base import Measured, Undefined, Why
from guardian.metrics.cells import stored
from guardian.metrics.quality.share import share
from guardian.units import round_significant

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the out-of-range share; Undefined for categories, and without values."""
    cells = stored(live, subject)
    if isinstance(cells, Undefined):
        return cells
    if not cells.ordered:
        return Undefined(Why.NOT_DEFINED, cells.n)
    found = share(int(cells.strays.sum()), cells.n)
    if isinstance(found, Measured) and len(cells.strays):
        below, above = (round_significant(k / cells.n) for k in cells.strays.tolist())
        return replace(found, detail={"below": below, "above": above})
    return found
