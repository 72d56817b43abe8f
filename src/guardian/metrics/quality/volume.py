"""Volume: how many predictions the model made in the window.

A count of all there are, not of a sample: both ends of its interval are the count. An empty window has volume
0, which is a measurement; whether silence is wrong is for a policy to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Measured

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure the number of predictions."""
    count = float(live.predictions)
    return Measured(count, live.predictions, count, count)
