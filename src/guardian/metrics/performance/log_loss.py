"""Log loss: the mean surprise -ln(probability given to what happened), in nats.

From 100 score bins, each row taken at its bin's mid point. A row whose event had probability p differs from
the exact loss by at most ln(upper edge / mid point) or ln(mid point / lower edge) of p's bin: 0.01 at p =
0.5, 0.05 at 0.1. In the last bin, p < 0.01, the exact loss has no bound; here it is 5.3, so a model that is
sure and wrong is not one row's hostage.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.metrics.base import Undefined
from guardian.metrics.performance.cells import MIDS, score_histograms
from guardian.metrics.performance.means import mean, moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Measurement, Options, Subject

LOSSES: Final[NDArray[np.float64]] = np.concatenate([-np.log(MIDS), -np.log1p(-MIDS)])  # Positives' bins, then negatives'.


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure log loss over labelled rows with a score; Undefined: no-labels, no-score, too-few-rows."""
    found = score_histograms(live, subject)
    if isinstance(found, Undefined):
        return found
    rows = np.concatenate(found)
    value, variance = moments(rows, LOSSES)
    return mean(value, variance, int(rows.sum()), (0.0, math.inf))
