"""Label coverage: of how many of the window's predictions the truth is known.

    labelled / predictions

Known of every prediction, not sampled: both ends of its interval are the value. It grows until the label
horizon has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Measured, Undefined, Why

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure label coverage; Undefined without predictions."""
    if live.predictions == 0:
        return Undefined(Why.NO_DATA)
    value = live.labelled / live.predictions
    return Measured(value, live.predictions, value, value, detail={"labelled": live.labelled})
