"""The change of a measurement from the reference's: drop, rise or ratio, with both standard errors combined.

    drop  = reference - live    +- 1.96 sqrt(se_live^2 + se_reference^2)
    rise  = live - reference    likewise
    ratio = live / reference    on the log scale, with the relative standard errors combined

Takes two measurements of one metric. Never: measures by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from guardian.metrics.base import Z95, Measured, Undefined, Why

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

Kind = Literal["drop", "rise", "ratio"]

LOG_MAX: Final = 700.0  # exp of more is no float: an interval that wide says nothing anyway, but must stay JSON.


def change(live: Measured, reference: Measured, kind: Kind) -> Measured | Undefined:
    """Return how far `live` lies from `reference`, in the metric's unit (ratio: 1); n is the live rows.

    Undefined (not-defined) where the metric has no standard error, and for a ratio to a reference that is not
    positive or of a live value that is negative. `detail` holds both values as `live` and `reference`.

    >>> round(change(Measured(0.8, 900, 0.77, 0.83, se=0.012), Measured(0.85, 9, 0.8, 0.9, se=0.016), "drop").low, 4)
    0.0108
    """
    if live.se is None or reference.se is None:
        return Undefined(Why.NOT_DEFINED, live.n)
    detail = {**live.detail, "live": live.value, "reference": reference.value}
    fit = live.fit and reference.fit
    if kind == "ratio":
        return _ratio(live, reference, fit=fit, detail=detail)
    value = reference.value - live.value if kind == "drop" else live.value - reference.value
    se = math.hypot(live.se, reference.se)
    return Measured(value, live.n, value - Z95 * se, value + Z95 * se, se, fit, detail)


def _ratio(live: Measured, reference: Measured, *, fit: bool, detail: Mapping[str, Any]) -> Measured | Undefined:
    if reference.value <= 0 or live.value < 0 or live.se is None or reference.se is None:
        return Undefined(Why.NOT_DEFINED, live.n, detail)
    relative = reference.se / reference.value
    if live.value == 0:
        # No logarithm: the upper ends carry what is known, and the standard error is the upper end's.
        high = max(live.high, 0.0) / reference.value * math.exp(min(Z95 * relative, LOG_MAX))
        return Measured(0.0, live.n, 0.0, high, high / Z95, fit, detail)
    ratio = live.value / reference.value
    log_se = math.hypot(live.se / live.value, relative)
    low, high = (ratio * math.exp(max(min(side * Z95 * log_se, LOG_MAX), -LOG_MAX)) for side in (-1, 1))
    return Measured(ratio, live.n, low, min(high, math.exp(LOG_MAX)), ratio * log_se, fit, detail)
