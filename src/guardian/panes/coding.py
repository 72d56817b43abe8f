"""Values to cells: what a decoded row is under one set of parameters, whole columns at a time.

Takes raw columns and parameters, gives cell numbers inside each part. A row's cells depend on that row alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xxhash

from guardian.catalog.parameters import (
    SCORE_BINS,
    SCORE_CELLS,
    CategoricalColumn,
    NumericColumn,
    Parameters,
    canonical_key,
)
from guardian.events.rows import Categories
from guardian.units import FIXED_POINT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

OTHER: Final = "(other)"  # The one class beside the positive one where no reference says what the negative is called.
NO_CLASS: Final = -1
VALUE_UNITS_MAX: Final = 1 << 20  # |value| in declared units; beyond it squares would leave 64 bits, so the event is refused.
PREDICTION: Final = None  # The key of a regression's prediction among the numeric columns; no column can have it.
CELL_BITS: Final = 32  # Of a ledger row's location; the rest is the pane ordinal.

SWEPT_VALUES_MIN: Final = 2_000  # So many values are compared with one bound after the other, a quarter of a search's time, ...
SWEPT_BOUNDS_MAX: Final = 64  # ... unless there are more bounds than this.

# The least score of each bin; of the first and past the last none, which no comparison with NaN lets through.
_SCORE_LOWS: Final = np.array([math.nan, *(np.arange(1, SCORE_BINS) / SCORE_BINS), math.nan])
_NONE = type(None)


class _Codes(dict[Hashable, int]):
    """A closed code table: what is not in it is the one default, and is not remembered."""

    def __init__(self, pairs: Mapping[Any, int], default: int) -> None:
        super().__init__(pairs)
        self.default = default

    def __missing__(self, key: Hashable) -> int:
        return self.default


class _Texts(_Codes):
    """The code table of texts and None; whatever else is asked for is looked up by its canonical key."""

    def __missing__(self, key: Any) -> int:
        return self.default if type(key) is str else self.get(canonical_key(key), self.default)


class Coder:
    """Codes raw categories of one column: `1`, `1.0` and `"1"` alike, booleans apart, None as missing, the rest as new."""

    def __init__(self, keys: Sequence[str], *, new: int, missing: int) -> None:
        by_key = {key: code for code, key in enumerate(keys)}
        booleans = {flag: by_key.get(canonical_key(flag), new) for flag in (True, False)}
        numbers = {int(key): code for key, code in by_key.items() if _is_canonical_integer(key)}
        self._known: dict[Any, int] = {**by_key, None: missing}
        self._texts = _Texts(self._known, new)
        self._booleans = _Codes({**booleans, None: missing}, new)
        self._integers = _Codes({**numbers, None: missing}, new)

    def code(self, values: Sequence[Any] | NDArray[Any] | Categories) -> NDArray[np.int32]:
        """Return the cell of each value, shape (n,)."""
        if isinstance(values, Categories):
            return self.code(values.values).take(values.indexes)
        if len(values) < 2:
            return np.array([self._texts[value] for value in values], np.int32)
        # Both steps are one call of C for the whole column; map and np.fromiter take twice as long.
        look_up = itemgetter(*values)
        try:
            codes = look_up(self._known)  # A plain dict answers faster than one that knows what to do with what is new.
        except KeyError:
            codes = look_up(self._table(values))
        return np.frombuffer(struct.pack(f"{len(values)}i", *codes), np.int32)

    def _table(self, values: Sequence[Any] | NDArray[Any]) -> _Codes:
        """Return the fastest table that is right for all of `values`."""
        kinds = set(map(type, values))
        kinds.discard(_NONE)
        return {frozenset({bool}): self._booleans, frozenset({int}): self._integers}.get(frozenset(kinds), self._texts)


def _is_canonical_integer(key: str) -> bool:
    return key.removeprefix("-").isdecimal() and key.isascii() and str(int(key)) == key


@dataclass(frozen=True)
class Coding:
    """The code tables of one set of parameters, built once.

    Attributes:
        columns: A coder for each categorical column by name.
        bins: For each numeric column by name: sorted bounds for searchsorted, and the cell of each slot.
        classes: Coder of classes (classification), else None.
        population: The columns whose cells make up `population`, with the stride of each.
        outcomes: Number of outcome cells: (classes, SCORE_CELLS) or the prediction's cells.
        groups: For each segment, () first: the group of each population code.
    """

    parameters: Parameters
    columns: Mapping[str, Coder]
    bins: Mapping[str | None, tuple[NDArray[np.float64], NDArray[np.int32]]]
    classes: Coder | None
    population: tuple[tuple[str, int], ...]
    outcomes: int
    groups: tuple[NDArray[np.int64], ...]


@lru_cache(maxsize=64)  # One entry a set of parameters in use.
def coding_of(parameters: Parameters) -> Coding:
    """Return the code tables of `parameters`. Raises ValueError where locations would not fit a ledger row."""
    names = tuple(dict.fromkeys(name for segment in parameters.segments for name in segment))
    sizes = [column.cells for column in parameters.population(names)]
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    classes = len(parameters.classes) + (parameters.task == "multiclass_classification")
    outcomes = parameters.prediction.cells if parameters.prediction else classes * SCORE_CELLS
    people = math.prod(sizes)
    if people * outcomes >= 1 << CELL_BITS:
        raise ValueError(
            f"{people} population cells x {outcomes} outcome cells do not fit {CELL_BITS} bits: declare fewer segments"
        )
    return Coding(
        parameters=parameters,
        columns={
            c.name: Coder(c.keys, new=len(c.keys), missing=len(c.keys) + 1)
            for c in parameters.columns
            if isinstance(c, CategoricalColumn)
        },
        bins=_all_bounds(parameters),
        classes=_class_coder(parameters),
        population=tuple(zip(names, strides, strict=True)),
        outcomes=outcomes,
        groups=_groups(parameters, names, sizes),
    )


def _class_coder(parameters: Parameters) -> Coder | None:
    match parameters.task:
        case "regression":
            return None
        case "multiclass_classification":
            return Coder(parameters.classes, new=len(parameters.classes), missing=NO_CLASS)
        case _:
            other = parameters.classes.index(OTHER) if OTHER in parameters.classes else NO_CLASS
            return Coder(parameters.classes, new=other, missing=NO_CLASS)


def _all_bounds(parameters: Parameters) -> dict[str | None, tuple[NDArray[np.float64], NDArray[np.int32]]]:
    found: dict[str | None, tuple[NDArray[np.float64], NDArray[np.int32]]] = {
        c.name: _bounds(c) for c in parameters.columns if isinstance(c, NumericColumn)
    }
    if parameters.prediction is not None:
        found[PREDICTION] = _bounds(parameters.prediction)
    return found


def _bounds(column: NumericColumn) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return bounds and the cell of each slot between them, so that one search finds bins and both ranges."""
    bounds = np.array([column.low, *column.edges, math.nextafter(column.high, math.inf)])
    slots = np.array([column.bins, *range(column.bins), column.bins + 1], np.int32)
    return bounds, slots


def _groups(parameters: Parameters, names: tuple[str, ...], sizes: list[int]) -> tuple[NDArray[np.int64], ...]:
    """Return, for every segment, the group that each population code belongs to."""
    people = math.prod(sizes)
    digits = dict(zip(names, np.unravel_index(np.arange(people), sizes) if sizes else (), strict=True))
    found = [np.zeros(people, np.int64)]
    for segment in parameters.segments:
        shape = [c.cells for c in parameters.population(segment)]
        found.append(np.ravel_multi_index([digits[name] for name in segment], shape).astype(np.int64))
    return tuple(found)


def class_hashes(labels: Sequence[Any] | NDArray[Any] | Categories) -> NDArray[np.int64]:
    """Return the hash of each label's canonical key, shape (n,): what a ledger row keeps, whatever the classes are then.

    A label is told apart by its class, and classes may differ between the parameters that hold for different panes.
    """
    if isinstance(labels, Categories):
        return class_hashes(labels.values).take(labels.indexes)
    if bool in set(map(type, labels)):
        labels = [canonical_key(label) for label in labels]
    known = {label: _hash(canonical_key(label)) for label in set(labels)}
    return np.fromiter(map(known.__getitem__, labels), np.int64, len(labels))


def _hash(key: str) -> int:
    whole = xxhash.xxh3_64_intdigest(key.encode())
    return whole - (1 << 64) if whole >> 63 else whole


def class_indexes(parameters: Parameters, hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each hashed label's class under `parameters`: NO_CLASS, `(new)` or `(other)` where it has none of its own."""
    hashed = np.array([_hash(key) for key in parameters.classes], np.int64)
    order = np.argsort(hashed)
    missing = len(parameters.classes) if parameters.task == "multiclass_classification" else NO_CLASS
    if OTHER in parameters.classes:
        missing = parameters.classes.index(OTHER)
    if not len(hashed):
        return np.full(len(hashes), missing, np.int64)
    at = np.searchsorted(hashed[order], hashes)
    found = hashed[order].take(at, mode="clip") == hashes
    return np.where(found, order.take(at, mode="clip"), missing)


def numeric_cells(coding: Coding, name: str | None, values: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the cell of each value, shape (n,); NaN is missing."""
    bounds, slots = coding.bins[name]
    cells: NDArray[np.int32] = slots[_slots(bounds, values)]
    absent = np.isnan(values)
    if absent.any():
        cells[absent] = len(slots)
    return cells


def _slots(bounds: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
    """Return how many of the ascending `bounds` are at most each value; for NaN any number."""
    if len(values) < SWEPT_VALUES_MIN or len(bounds) > SWEPT_BOUNDS_MAX:
        return np.searchsorted(bounds, values, side="right")
    found = np.zeros(len(values), np.uint8)
    for bound in bounds.tolist():
        found += values >= bound
    return found


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the score cell of each score in [0, 1]; NaN (no score) is the last cell."""
    absent = np.isnan(scores)
    some = absent.any()
    if some:
        scores = np.where(absent, 0.0, scores)
    # A product may be rounded into a neighbour's bin, never further; comparing puts that right, in an eighth of a search's time.
    bins = np.clip(scores * SCORE_BINS, 0, SCORE_BINS - 1).astype(np.int64)
    bins -= scores < _SCORE_LOWS[bins]
    bins += scores >= _SCORE_LOWS[bins + 1]
    if some:
        bins[absent] = SCORE_BINS
    return bins


def fixed_point(values: NDArray[np.float64], unit: float = 1.0) -> NDArray[np.int64]:
    """Return values as integers of 2^-20 unit, rounded half to even; NaN as 0."""
    return np.rint(np.nan_to_num(values / unit) * FIXED_POINT).astype(np.int64)


def fixed_square(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the squares of fixed-point values in fixed point, exact to half a step, for |value| <= 2^21 units.

    (v * v + 2^19) >> 20 with v = a * 2^20 + b is a^2 * 2^20 + 2ab + ((b^2 + 2^19) >> 20), which stays inside 64 bits.
    """
    whole, rest = values >> 20, values & (FIXED_POINT - 1)
    out: NDArray[np.int64] = whole * whole * FIXED_POINT + 2 * whole * rest + ((rest * rest + (FIXED_POINT >> 1)) >> 20)
    return out


def population_codes(coding: Coding, columns: Mapping[str, NDArray[np.int32]], n: int) -> NDArray[np.int64]:
    """Return the population code of each row from its column cells."""
    out = np.zeros(n, np.int64)
    for name, stride in coding.population:
        out += columns[name].astype(np.int64) * stride
    return out


def outcome_codes(
    coding: Coding, predictions: Sequence[Any] | NDArray[Any], scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return outcome cell, fixed-point value (score, or a regression's prediction) and whether the row is refused.

    Predictions are raw; those of a classification may be coded already as int32.
    """
    parameters = coding.parameters
    if coding.classes is None:
        values = np.asarray(predictions, np.float64)
        bad = np.abs(values) > VALUE_UNITS_MAX * parameters.unit
        return (
            numeric_cells(coding, PREDICTION, values).astype(np.int64),
            fixed_point(np.where(bad, 0.0, values), parameters.unit),
            bad,
        )
    coded = isinstance(predictions, np.ndarray) and predictions.dtype == np.int32
    classes = np.asarray(predictions if coded else coding.classes.code(predictions), np.int64)
    return classes * SCORE_CELLS + score_bins(scores), fixed_point(scores), classes == NO_CLASS
