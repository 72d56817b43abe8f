"""Units that cross every room: event time, durations, fixed point, significant digits.

Takes and gives plain integers, floats and strings. Never: reads a clock.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, NewType

import durationpy

EventTimeMs = NewType("EventTimeMs", int)
"""An instant of event time: milliseconds since 1970-01-01T00:00:00 UTC."""

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

FIXED_POINT: Final = 1 << 20  # Steps in one declared unit: sums of these merge exactly where floats would not.
SIGNIFICANT_DIGITS: Final = 9  # Of every value that is judged and recorded, so that a replay gives the same bytes.

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DURATION: Final = re.compile(r"(\d+(\.\d+)?(ms|y|w|d|h|m|s))+")
_STEPS: Final = (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS), ("ms", 1))


def parse_duration(text: str) -> int:
    """Return the milliseconds in a Go or Prometheus duration such as `30d`, `6h` or `1h30m`.

    Raises ValueError when `text` is no duration or is not a whole number of milliseconds.

    >>> parse_duration("1h30m"), parse_duration("7d")
    (5400000, 604800000)
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    exact = durationpy.from_str(text) / dt.timedelta(milliseconds=1)
    if exact != int(exact):
        raise ValueError(f"{text!r} is not a whole number of milliseconds")
    return int(exact)


def format_duration(span_ms: int) -> str:
    """Write a duration as people write it in policy files.

    >>> format_duration(30 * DAY_MS), format_duration(5_400_000), format_duration(0)
    ('30d', '1h30m', '0s')
    """
    out, left = "", span_ms
    for unit, size in _STEPS:
        if left >= size:
            out += f"{left // size}{unit}"
            left %= size
    return out or "0s"


def format_time(at: int) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds.

    >>> format_time(0)
    '1970-01-01T00:00:00.000Z'
    """
    return (_EPOCH + dt.timedelta(milliseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"


def parse_time(text: str) -> EventTimeMs:
    """Read an RFC 3339 instant (an offset or `Z` is demanded), truncated to milliseconds.

    Raises ValueError when `text` is no such instant.

    >>> parse_time("2016-01-01T01:00:00.5+01:00") == parse_time("2016-01-01T00:00:00.500Z")
    True
    """
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return EventTimeMs((moment - _EPOCH) // dt.timedelta(milliseconds=1))


def round_significant(value: float) -> float:
    """Round to the digits that guardian judges and records; -0.0 becomes 0.0.

    >>> round_significant(0.12345678949), round_significant(-0.0)
    (0.123456789, 0.0)
    """
    return float(f"{value:.{SIGNIFICANT_DIGITS - 1}e}") + 0.0
