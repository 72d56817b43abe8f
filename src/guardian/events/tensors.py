"""Payloads of model servers to blocks of rows: tensors of the Open Inference Protocol (V2), and V1's instances and predictions.

A block is n rows of k values. Values are what JSON said, checked against the datatype where there is one; null is a missing value
whatever the datatype, because that is how servers write NaN in JSON. Bounded by ROWS_MAX and by the payload's own bytes.

Sources: Open Inference Protocol, inference_rest.md (`$request_input`, `$response_output`; tensor data is flat or nested, in
row-major order); MLServer's content types `pd`, `str` and `base64`; KServe's V1 `instances` and `predictions`.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardian.events.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

ROWS_MAX: Final = 4_096  # Of one request: what one record of the log can become is bounded.
CELLS_MAX: Final = 1 << 18  # Rows times watched columns of one request: a row's names may be longer than its values.
FLOATS: Final = frozenset({"FP16", "BF16", "FP32", "FP64"})
INTEGERS: Final = {
    **{f"INT{bits}": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
"""Least and greatest value by datatype."""


class PayloadError(ValueError):
    """A payload cannot be read as predictions: a public reason, a place in the payload, a sentence."""

    def __init__(self, reason: Reason, place: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.place, self.detail = reason, place, detail


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One input or output of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """n rows of k values.

    Attributes:
        place: Where it stands in its payload, as a JSON path.
        rows: n lists of k values.
        width: k.
    """

    place: str
    rows: list[list[Any]]
    width: int

    @property
    def column(self) -> list[Any]:
        """Its only column. Raises PayloadError where it has more."""
        if self.width != 1:
            raise PayloadError(Reason.BAD_SHAPE, self.place, f"One value a row is expected here, not {self.width}.")
        return [row[0] for row in self.rows]


def tensor_block(tensor: Tensor, place: str) -> Block:
    """Return a tensor's rows: the first dimension counts them, the others are one row's values. Raises PayloadError.

    >>> tensor_block(Tensor("a", [2, 2], "INT64", [[1, 2], [3, None]]), "$.inputs[0]").rows
    [[1, 2], [3, None]]
    """
    shape, data = tensor.shape, tensor.data
    if data is None:
        detail = "The tensor has no data; tensors in binary are not read: have the client send and ask for JSON."
        raise PayloadError(Reason.MISSING_FIELD, f"{place}.data", detail)
    if not shape or min(shape) < 0:
        raise PayloadError(Reason.BAD_SHAPE, f"{place}.shape", "A shape is the number of rows, then of what each row has.")
    rows, width = shape[0], math.prod(shape[1:])
    if rows > ROWS_MAX:
        raise too_many(rows, f"{place}.shape")
    flat = _flat(data, shape, place)
    check = _checker(tensor, place)
    for i, value in enumerate(flat):
        if value is not None:
            try:
                flat[i] = check(value)
            except (TypeError, ValueError, OverflowError):
                detail = f"The value at {i} of the flat data is no {tensor.datatype}."
                raise PayloadError(Reason.WRONG_TYPE, f"{place}.data", detail) from None
    return Block(place, [flat[i * width : (i + 1) * width] for i in range(rows)], width)


def too_many(rows: int, place: str) -> PayloadError:
    """Return the error of a request with more rows than are read."""
    return PayloadError(Reason.TOO_LARGE, place, f"A request has at most {ROWS_MAX} rows, this one {rows}.")


def _flat(data: list[Any], shape: Sequence[int], place: str) -> list[Any]:
    """Return tensor data in row-major order, whether it came flat or nested as the shape says."""
    size = math.prod(shape)
    if len(data) != size or (data and isinstance(data[0], list)):
        data = _unnested(data, shape, place)
    if len(data) != size:
        detail = f"The shape {list(shape)} has {size} values, the data {len(data)}."
        raise PayloadError(Reason.BAD_SHAPE, f"{place}.data", detail)
    return list(data)


def _unnested(data: list[Any], shape: Sequence[int], place: str) -> list[Any]:
    for size in shape[1:]:
        if not any(isinstance(part, list) for part in data):
            break
        if not all(isinstance(part, list) and len(part) == size for part in data):
            raise PayloadError(Reason.BAD_SHAPE, f"{place}.data", f"The data is not nested as the shape {list(shape)} says.")
        data = list(chain.from_iterable(data))
    return data


def _checker(tensor: Tensor, place: str) -> Callable[[Any], Any]:
    """Return what turns a JSON value into one of the tensor's datatype, or raises TypeError, ValueError or OverflowError."""
    kind = tensor.datatype
    if kind in FLOATS:
        return _number
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return lambda value: _integer(value, low, high)
    if kind == "BOOL":
        return _boolean
    if kind == "BYTES":
        return _decoded if (tensor.parameters or {}).get("content_type") == "base64" else _text
    known = ", ".join(["BOOL", *INTEGERS, *sorted(FLOATS), "BYTES"])
    raise PayloadError(Reason.WRONG_TYPE, f"{place}.datatype", f"datatype must be one of {known}.")


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _integer(value: Any, low: int, high: int) -> int:
    whole = int(_number(value))
    if whole != value or not low <= whole <= high:
        raise ValueError
    return whole


def _boolean(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _decoded(value: Any) -> str:
    return base64.b64decode(_text(value), validate=True).decode()


def item_blocks(items: list[Any], place: str, wanted: Container[str]) -> dict[str, Block]:
    """Return the blocks of V1 rows: by name where rows are objects, else one block without a name. Raises PayloadError.

    Of names, those that are `wanted` are read, else the only one.

    >>> blocks = item_blocks([{"a": 1, "c": 0}, {"a": 2, "b": [3]}], "$.instances", {"a", "b"})
    >>> blocks["a"].rows, blocks["b"].rows
    ([[1], [2]], [[None], [3]])
    """
    if len(items) > ROWS_MAX:
        raise too_many(len(items), place)
    if not items or not all(isinstance(item, dict) for item in items):
        return {"": _block(items, place)}
    names = list(dict.fromkeys(chain.from_iterable(items)))
    names = [name for name in names if name in wanted] or names[: len(names) == 1]
    bounded(len(items), len(names), place)
    return {name: _block([item.get(name) for item in items], f"{place}[*].{name}") for name in names}


def bounded(rows: int, columns: int, place: str) -> None:
    """Raise PayloadError where so many rows have more values together than are read of one request."""
    if rows * columns > CELLS_MAX:
        detail = f"A request has at most {CELLS_MAX} values in columns that are watched, this one {rows * columns}."
        raise PayloadError(Reason.TOO_LARGE, place, detail)


def _block(items: list[Any], place: str) -> Block:
    rows = [item if isinstance(item, list) else [item] for item in items]
    widths = set(map(len, rows))
    if len(widths) > 1:
        raise PayloadError(Reason.BAD_SHAPE, place, "Every row must have as many values as the others.")
    return Block(place, rows, widths.pop() if widths else 1)


def unframed(items: list[Any], place: str) -> list[Any]:
    """Return V1 instances with those that are whole tables taken apart into their rows. Raises PayloadError.

    KServe's scikit-learn and XGBoost servers make a pandas frame of each instance that is an object, so there a row is
    `{"a": [1]}` or `{"a": {"0": 1}}`, and a list of objects is a table as well.

    >>> unframed([{"a": [1, 2], "b": [3, 4]}, {"a": {"0": 5}}, [{"a": 6}], [7, 8]], "$.instances")
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}, {'a': 5}, {'a': 6}, [7, 8]]
    """
    out: list[Any] = []
    for item in items:
        if isinstance(item, list) and item and all(isinstance(row, dict) for row in item):
            out += item
        else:
            out += _rows_of_table(item, place) if isinstance(item, dict) else [item]
        if len(out) > ROWS_MAX:
            raise too_many(len(out), place)
    return out


def _rows_of_table(item: dict[str, Any], place: str) -> list[Any]:
    columns = list(item.values())
    kinds = set(map(type, columns))
    if kinds not in ({list}, {dict}) or len({tuple(c) if isinstance(c, dict) else len(c) for c in columns}) != 1:
        return [item]
    if len(columns[0]) > ROWS_MAX:
        raise too_many(len(columns[0]), place)
    rows = zip(*(list(c.values()) if isinstance(c, dict) else c for c in columns), strict=True)
    return [dict(zip(item, row, strict=True)) for row in rows]
