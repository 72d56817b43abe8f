"""Columns of Arrow tables as decoded rows hold them, and which of their rows JSON could not have.

What is marked bad here is refused by the typed decoder of JSON too, once it is written out: these checks only find it fast. Null
is never bad here; whoever needs a value says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from guardian.events.envelope import ID_CHARS_MAX, TIME_MS_MAX
from guardian.events.rows import Categories
from guardian.events.times import parse_times

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Steps of a timestamp's unit in a millisecond; None for seconds, of which a thousand milliseconds are one.
_STEPS: Final = {"s": None, "ms": 1, "us": 1_000, "ns": 1_000_000}
_WRITTEN_MS_MIN: Final = -62_135_596_800_000  # 0001-01-01: before it, RFC 3339 has no text.


class Numbers(NamedTuple):
    """(n,) float64, NaN where null, and the rows whose value is no finite number."""

    values: NDArray[np.float64]
    bad: NDArray[np.bool_]


class Instants(NamedTuple):
    """Times of n rows.

    Attributes:
        values: (n,) UTC milliseconds.
        bad: The rows that have no good time.
        far: The rows whose number is so far out of range that no text can say it.
        raw: (n,) the numbers themselves; None where times are no numbers.
    """

    values: NDArray[np.int64]
    bad: NDArray[np.bool_]
    far: NDArray[np.bool_]
    raw: NDArray[np.int64] | None


def numbers(column: Any) -> Numbers:
    """Return a column as floats; integers and decimals are rounded to the nearest.

    >>> numbers(pa.array([1, None, 3])).values
    array([ 1., nan,  3.])
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind, n = column.type, len(column)
    if pa.types.is_null(kind):
        return Numbers(np.full(n, np.nan), np.zeros(n, np.bool_))
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        return Numbers(np.full(n, np.nan), valid(column))
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    bad = ~np.isfinite(values)
    return Numbers(values, bad & valid(column) if column.null_count else bad)


def categories(column: Any) -> tuple[Categories, NDArray[np.bool_]]:
    """Return a column of texts, numbers or booleans by its distinct values, None among them where there are nulls, and bad rows.

    >>> categories(pa.array(["a", None, "a"]))[0]
    Categories(indexes=array([0, 1, 0], dtype=int32), values=['a', None])
    """
    n, kind = len(column), column.type
    if pa.types.is_dictionary(kind):
        if len(column.dictionary) > n or pa.types.is_decimal(kind.value_type):  # Most of its values may be of no row.
            return categories(column.dictionary_decode())
        encoded, kind = column, kind.value_type
    if not _is_plain(kind):
        return Categories(np.zeros(n, np.int32), [None]), valid(column)
    if not pa.types.is_dictionary(column.type):
        encoded = plain(column).dictionary_encode()
    values, indexes = encoded.dictionary.to_pylist(), encoded.indices.cast(pa.int32())
    if indexes.null_count:
        indexes = indexes.fill_null(len(values))
        values.append(None)
    found = Categories(indexes.to_numpy(zero_copy_only=False), values)
    return found, marked(found, lambda value: isinstance(value, float) and not math.isfinite(value))


def _is_plain(kind: Any) -> bool:
    """Whether values of a type are what JSON has: text, number, boolean or nothing."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return is_text(kind) or any(test(kind) for test in tests)


def is_text(kind: Any) -> bool:
    """Whether a type is text, in one of Arrow's three layouts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain(column: Any) -> Any:
    """Return a column without dictionary and decimals, which few functions of Arrow know."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.float64(), safe=False) if pa.types.is_decimal(column.type) else column


def as_json(column: Any) -> list[Any]:
    """Return each value as JSON has it; of a type that JSON has not, a list of the type's name, which no field may hold.

    >>> as_json(pa.array([1, None])), as_json(pa.array([b"a", None]))
    ([1, None], [['binary'], None])
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if _is_plain(kind):
        return list(plain(column).to_pylist())
    return [[str(kind)] if there else None for there in valid(column).tolist()]


def marked(found: Categories, is_so: Callable[[Any], bool]) -> NDArray[np.bool_]:
    """Return which rows have a value that `is_so`, asking once a value."""
    which = np.fromiter(map(is_so, found.values), np.bool_, len(found.values))
    return which.take(found.indexes) if which.any() else np.zeros(len(found), np.bool_)


def valid(column: Any) -> NDArray[np.bool_]:
    """Return which rows are not null."""
    if pa.types.is_dictionary(column.type) and column.dictionary.null_count:
        column = column.dictionary_decode()
    found: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return found


def identifiers(column: Any) -> tuple[Any, NDArray[np.bool_]]:
    """Return a column of ids as Arrow's binary (their UTF-8), and the rows that are no good ids, null among them.

    >>> identifiers(pa.array(["a", "", None]))[1]
    array([False,  True,  True])
    """
    column = plain(column)
    if not is_text(column.type):
        return pa.nulls(len(column), pa.binary()), np.ones(len(column), np.bool_)
    chars = pc.fill_null(pc.utf8_length(column), 0).to_numpy(zero_copy_only=False)
    large = pa.types.is_large_string(column.type)
    return column.cast(pa.large_binary() if large else pa.binary()), (chars < 1) | (chars > ID_CHARS_MAX)


def instants(column: Any) -> Instants:
    """Return a column of times: timestamps (without a zone: UTC), RFC 3339 texts, or integers of UTC milliseconds.

    >>> instants(pa.array([-1, 0, None])).bad
    array([ True, False,  True])
    """
    column = plain(column)
    kind, n = column.type, len(column)
    if pa.types.is_timestamp(kind) or pa.types.is_integer(kind):
        step = _STEPS[kind.unit] if pa.types.is_timestamp(kind) else 1
        raw = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
        if step is None:
            far = (raw < _WRITTEN_MS_MIN // 1_000) | (raw > TIME_MS_MAX // 1_000)
            values = np.where(far, 0, raw) * 1_000
        else:
            values = raw // step
            far = (values < _WRITTEN_MS_MIN) | (values > TIME_MS_MAX)
        return Instants(values, far | (values < 0) | ~valid(column), far, raw)
    far = np.zeros(n, np.bool_)
    if not is_text(kind):
        return Instants(np.zeros(n, np.int64), np.ones(n, np.bool_), far, None)
    values, wrong = parse_times(column.fill_null("").to_numpy(zero_copy_only=False).tolist())
    bad = np.zeros(n, np.bool_)
    bad[list(wrong)] = True
    return Instants(values, bad, far, None)
