"""Both error rates of a segment at once: what equalized odds compares.

The extreme over the pairs of the true positive rate and those of the false positive rate together; Bonferroni
runs over both families of pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.metrics.base import Measured, Undefined, Why
from guardian.metrics.fairness.extremes import Extreme, pairs
from guardian.metrics.fairness.groups import Groups, groups_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardian.metrics.base import Counts, Measurement, Options, Subject

    Pick = Callable[[float, float], float]
    Seek = Callable[[Groups, int], Extreme | None]


def measure_odds(live: Counts, subject: Subject, options: Options, seek: Seek, pick: Pick) -> Measurement:
    """Seek the extreme of each rate and `pick` (max or min) between the two: value, low and high each.

    `detail` is that of the rate which holds the value, its name in `rate`, and the other's under `other`.
    Undefined where either rate is; n is the rows of both denominators in the groups judged.
    """
    true = groups_of(live, subject, options, "true_positive")
    if isinstance(true, Undefined):
        return true
    false = groups_of(live, subject, options, "false_positive")
    if isinstance(false, Undefined):
        return false
    comparisons, n = pairs(true) + pairs(false), true.n + false.n
    first, second = seek(true, comparisons), seek(false, comparisons)
    if first is None or second is None:
        return Undefined(Why.NOT_DEFINED, n, {"too_small": {**true.too_small, **false.too_small}})
    details = [
        {"rate": "true_positive_rate", **true.detail(first.between)},
        {"rate": "false_positive_rate", **false.detail(second.between)},
    ]
    value = pick(first.value, second.value)
    held, other = details if value == first.value else reversed(details)
    low, high = pick(first.low, second.low), pick(first.high, second.high)
    return Measured(value, n, low, high, detail={**held, "other": other})
