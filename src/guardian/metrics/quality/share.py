"""A share of rows as a measurement: what the share metrics of this family have in common."""

from __future__ import annotations

from guardian.metrics.base import Z95, Measured, Measurement, Undefined, Why
from guardian.metrics.intervals import wilson


def share(k: int, n: int) -> Measurement:
    """Return `k` of `n` rows with Wilson's interval; Undefined for n = 0.

    The standard error is what that interval is worth on each side, so that 0 of n is not certain to stay 0.

    >>> share(0, 0)
    Undefined(why=<Why.NO_DATA: 'no-data'>, n=0, detail={})
    """
    if n == 0:
        return Undefined(Why.NO_DATA)
    low, high = wilson(k, n)
    return Measured(k / n, n, low, high, se=(high - low) / (2 * Z95))
