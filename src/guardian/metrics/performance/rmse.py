"""Root mean squared error, in the label's own unit.

Normal theory: errors are taken for normal with mean 0, so n * MSE / variance is chi-squared with n degrees of
freedom and the standard error is RMSE / sqrt(2 n). The panes hold no fourth powers, so heavy tails cannot be
seen: with them the interval is too narrow, and `performance.mae` is the safer rule.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import chdtri

from guardian.metrics.base import Measured, Undefined, Why
from guardian.metrics.performance.cells import error_sums
from guardian.units import FIXED_POINT

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Measurement, Options, Subject


def measure(live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
    """Measure RMSE; Undefined: no-labels, too-few-rows (below two)."""
    n, _, _, squared, _, _ = error_sums(live, subject)
    if n < 2:
        return Undefined(Why.TOO_FEW_ROWS if n else Why.NO_LABELS, n)
    value = math.sqrt(squared / (FIXED_POINT * n)) * live.parameters.unit
    low, high = (value * math.sqrt(n / float(chdtri(n, tail))) for tail in (0.025, 0.975))
    return Measured(value, n, low, high, value / math.sqrt(2 * n))
