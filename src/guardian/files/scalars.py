"""What a plain YAML scalar means: the core schema of YAML 1.2, and nothing of 1.1.

So `no`, `on`, `12:30:45` and `2024-01-01` are text, `1e3` is a number, and `010` is ten.
"""

from __future__ import annotations

import re
from typing import Final

DIGITS_MAX: Final = 64  # Longer numbers are refused: no field needs them, and Python's own conversion is quadratic.

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain_scalar(text: str) -> str | int | float | bool | None:
    """Return what the plain (unquoted) scalar `text` means.

    Raises ValueError where it is a number longer than DIGITS_MAX characters.

    >>> [plain_scalar(t) for t in ("no", "12:30:45", "2024-01-01", "1e3", "010", "0x1F", "~", "true")]
    ['no', '12:30:45', '2024-01-01', 1000.0, 10, 31, None, True]
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return _number(text)


def _number(text: str) -> str | int | float:
    for pattern, read in ((_INTEGER, int), (_BASED, _based), (_FLOAT, float)):
        if pattern.fullmatch(text):
            if len(text) > DIGITS_MAX:
                raise ValueError(f"a number of {len(text)} characters")
            return read(text)
    return text


def _based(text: str) -> int:
    return int(text, 0)
