"""R squared: 1 - (sum of squared errors) / (sum of squared distances of the truth from its mean).

Normal theory: error and label are taken for normal. Then ln(1 - R2), the log of a ratio of two variances, has
variance (4 / n) (1 - rho^2), where rho is the correlation of error and label; the panes do not hold it, so 4
/ n is used, which makes the interval conservative: 1 - (1 - R2) exp(-+ 1.96 * 2 / sqrt(n)).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from guardian.metrics.base import Z95, Measured, Undefined, Why
from guardian.metrics.performance.cells import error_sums
from guardian.units import FIXED_POINT

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure R squared; Undefined: no-labels, too-few-rows (below two), not-defined where the truth does not vary."""
    n, _, _, errors, label, labels = error_sums(live, subject)
    if n < 2:
        return Undefined(Why.TOO_FEW_ROWS if n else Why.NO_LABELS, n)
    spread = n * labels * FIXED_POINT - label * label  # n^2 * variance in steps squared, exact in integers.
    if spread <= n * n * FIXED_POINT:  # No more than the rounding of squares may give: the truth does not vary.
        return Undefined(Why.NOT_DEFINED, n)
    rest = n * errors * FIXED_POINT / spread
    se = 2 / math.sqrt(n)
    low, high = 1 - rest * math.exp(Z95 * se), 1 - rest * math.exp(-Z95 * se)
    return Measured(1 - rest, n, low, high, rest * se)
