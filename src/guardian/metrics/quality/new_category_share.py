"""New-category share: how many values are categories that the reference never had.

    new / values, by Wilson's interval

Missing values are no values. The prediction of a binary model is never new; a multiclass model's may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined, Why
from guardian.metrics.cells import stored
from guardian.metrics.quality.share import share

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the new-category share; Undefined for numbers, and without values."""
    cells = stored(live, subject)
    if isinstance(cells, Undefined):
        return cells
    return Undefined(Why.NOT_DEFINED, cells.n) if cells.ordered else share(int(cells.strays.sum()), cells.n)
