"""Expected calibration error: how far scores are from the share of times that the event happens, averaged over rows.

    raw = sum over CELLS equal-width cells of (rows in the cell / n) * |share that happened - mean score|

Scores are taken at the mid points of the 100 score bins. The raw value of a perfectly calibrated model is far from 0 (0.02 at
n = 2,000), because chance alone separates shares from scores. So `value` is the raw one less the bias that chance can give;
the interval reaches from there down and from the raw value up, which is conservative (coverage 0.97 to 1, and the usual 0.95
where every cell is clearly off). `detail` holds `raw`. Multiclass: of the top score, right or wrong.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.catalog.parameters import SCORE_BINS
from guardian.metrics.base import Z95, Measured, Undefined, Why
from guardian.metrics.intervals import absolute_sum
from guardian.metrics.performance.cells import MIDS, score_histograms
from guardian.units import round_significant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Measurement, Options, Subject


CELLS: Final = 10  # Of ten score bins each.


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure calibration over labelled rows with a score; Undefined: no-labels, no-score, no-reference (multiclass)."""
    found = _right_and_wrong(live, subject)
    if isinstance(found, Undefined):
        return found
    right, wrong = found
    n = int(right.sum() + wrong.sum())
    hits, rows = _cells(right), _cells(right + wrong)
    full = rows > 0
    expected = _cells((right + wrong) * MIDS)[full]
    hits, rows = hits[full], rows[full]
    differences = (hits - expected) / rows
    smoothed = (hits + 0.5) / (rows + 1)  # A cell that is all right or all wrong still has a spread.
    sigmas = np.sqrt(smoothed * (1 - smoothed) / rows)
    # The signed sum is a mean over rows of sign * (happened - mid point): its spread is the delta method's.
    raw = float((rows * np.abs(differences)).sum()) / n
    squares = float((right * (1 - MIDS) ** 2 + wrong * MIDS**2).sum()) / n
    value, low, high = absolute_sum(differences, sigmas, rows / n, math.sqrt(max(squares - raw**2, 0.0) / n))
    high = min(high, 1.0)
    se = max(high - value, value - low) / Z95  # The interval leans; a change takes its wider side.
    return Measured(value, n, low, high, se, detail={"raw": round_significant(raw)})


def _cells(bins: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    cells: NDArray[np.float64] = bins.reshape(CELLS, -1).sum(axis=1, dtype=np.float64)
    return cells


def _right_and_wrong(live: Counts, subject: Subject) -> tuple[NDArray[np.int64], NDArray[np.int64]] | Undefined:
    if live.parameters.task == "binary_classification":
        return score_histograms(live, subject)
    if not live.parameters.classes:
        return Undefined(Why.NO_REFERENCE, live.labelled)
    by_outcome = live.part(f"calibration/{subject.by or ''}").sum(axis=0)
    if not by_outcome.any():
        return Undefined(Why.NO_LABELS)
    if not by_outcome[:SCORE_BINS].any():
        return Undefined(Why.NO_SCORE, int(by_outcome.sum()))
    return by_outcome[:SCORE_BINS, 1], by_outcome[:SCORE_BINS, 0]
