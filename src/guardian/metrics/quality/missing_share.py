"""Missing share: how many of the window's rows have no value in a column or output.

    missing / rows, by Wilson's interval

Null and NaN are missing, and so is a column that an event leaves out. A classifier's prediction is never
missing; a score may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Undefined
from guardian.metrics.cells import stored
from guardian.metrics.quality.share import share

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the missing share; Undefined without rows, and for a score that the task has not."""
    cells = stored(live, subject)
    return cells if isinstance(cells, Undefined) else share(cells.missing, cells.n + cells.missing)
