"""RFC 3339 text to UTC milliseconds: whole columns at once for the forms that producers write, one by one for the rest."""

from __future__ import annotations

import re
from collections import Counter
from itertools import compress
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.events.envelope import TIME_MS_MAX
from guardian.events.reasons import Reason
from guardian.units import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# What RFC 3339 allows; datetime.fromisoformat also takes ISO 8601's weeks, commas and compact forms.
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,18})?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII)
_SUFFIXES: Final = ("Z", "+00:00")
_BODIES: Final = ("0000-00-00T00:00:00", "0000-00-00T00:00:00.000", "0000-00-00T00:00:00.000000")
_MS_BODY: Final = len(_BODIES[1])  # Further digits are cut off, as units.parse_time does.


def _template(form: str, body: int) -> tuple[int, NDArray[np.uint8], NDArray[np.uint8]]:
    """Return how much of the form is read, its least text, and by how much each character may be greater."""
    least = np.frombuffer(form.encode(), np.uint8)
    span = np.array([9 if i < body and letter == "0" else 0 for i, letter in enumerate(form)], np.uint8)
    return min(body, _MS_BODY), least, span


_TEMPLATES: Final = {len(body + end): _template(body + end, len(body)) for body in _BODIES for end in _SUFFIXES}


def parse_times(texts: Sequence[str]) -> tuple[NDArray[np.int64], dict[int, Reason]]:
    """Return each text's UTC milliseconds, and why for each position that has none (its value is then 0).

    >>> parse_times(["1970-01-01T00:00:01Z", "1969-12-31T00:00:00Z", "now"])
    (array([1000,    0,    0]), {1: <Reason.TIME_OUT_OF_RANGE: 'time-out-of-range'>, 2: <Reason.BAD_TIME: 'bad-time'>})
    """
    fast = _uniform(texts)
    if fast is not None:
        return fast, {}
    out = np.zeros(len(texts), np.int64)
    bad: dict[int, Reason] = {}
    usual = _usual(texts)  # One that is wrong must not cost its neighbours their speed.
    fast = _uniform([texts[row] for row in usual]) if usual else None
    if fast is not None:
        out[usual] = fast
    for row in range(len(texts)) if fast is None else sorted({*range(len(texts))}.difference(usual)):
        at = _one(texts[row])
        if isinstance(at, Reason):
            bad[row] = at
        else:
            out[row] = at
    return out, bad


def _one(text: str) -> int | Reason:
    if not _RFC3339.fullmatch(text):
        return Reason.BAD_TIME
    try:
        at = parse_time(text.upper())
    except ValueError:
        return Reason.BAD_TIME
    return at if 0 <= at <= TIME_MS_MAX else Reason.TIME_OUT_OF_RANGE


def _usual(texts: Sequence[str]) -> list[int]:
    """Return the rows whose text is of the form that most of them have the length of."""
    width = Counter(map(len, texts)).most_common(1)[0][0] if texts else 0
    if width not in _TEMPLATES:
        return []
    rows = [row for row, text in enumerate(texts) if len(text) == width and text.isascii()]
    _, template, span = _TEMPLATES[width]
    grid = np.frombuffer("".join([texts[row] for row in rows]).encode(), np.uint8).reshape(len(rows), width)
    fits: NDArray[np.bool_] = np.all(grid - template <= span, axis=1)
    return list(compress(rows, fits.tolist()))


def _uniform(texts: Sequence[str]) -> NDArray[np.int64] | None:
    """Parse texts that are all of one common UTC form; None when one is not, or its value needs a closer look."""
    joined = "".join(texts)
    width = len(texts[0]) if texts else 0
    # Without the second test a longer text could lend a character to its shorter neighbour.
    if width not in _TEMPLATES or not joined.isascii() or len(set(map(len, texts))) != 1:
        return None
    body, template, span = _TEMPLATES[width]
    grid = np.frombuffer(joined.encode(), np.uint8).reshape(len(texts), width)
    if not (grid - template <= span).all():  # uint8 wraps: what lies below the template is far above its span.
        return None
    try:
        instants = np.ascontiguousarray(grid[:, :body]).view(f"S{body}").ravel().astype("M8[ms]").view(np.int64)
    except ValueError:
        return None
    return instants if instants.min() >= 0 else None
