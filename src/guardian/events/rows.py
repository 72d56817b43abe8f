"""Decoded events as columns: what `count` folds. Row i of every array and list is one event.

Takes nothing, decides nothing; `codec.decode` makes them of JSON, `arrow.decode_arrow` of Arrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Scalar = str | int | float | bool
"""A category, class or label as a producer wrote it; `catalog.parameters.canonical_key` makes one key of it."""


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of few different values, as Arrow's dictionaries hold it.

    Attributes:
        indexes: (n,) integers: which of `values` each row has.
        values: Distinct values, some maybe of no row.
    """

    indexes: NDArray[np.integer[Any]]
    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.indexes)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Categories:
        """Return some of the rows."""
        return Categories(self.indexes[which], self.values)

    def distinct(self) -> list[Any]:
        """Return the values that rows have, in the order in which they come first.

        >>> Categories(np.array([2, 0, 2]), ["a", "b", "c"]).distinct()
        ['c', 'a']
        """
        found, firsts = np.unique(self.indexes, return_index=True)
        return [self.values[i] for i in found[np.argsort(firsts)].tolist()]

    def to_list(self) -> list[Any]:
        """Return the value of each row."""
        return [self.values[i] for i in self.indexes.tolist()]


@dataclass(frozen=True, slots=True)
class PredictionRows:
    """Predictions of one model in log order, n rows.

    Attributes:
        model: The model's name.
        positions: (n,) int64, ascending: each event's place in its step, from 0; what maps it to the log is the engine's.
        ids: (n,) uint64: xxh3 of the event's id.
        times: (n,) int64: event time in UTC milliseconds.
        versions: n versions as the events say them; None where they say none.
        predictions: n raw predictions: classes as written, or floats for a regression.
        scores: (n,) float64, NaN where an event has none.
        columns: By name, for every feature and protected attribute of the model file: numeric as (n,) float64, NaN where
            missing; categorical as n raw values, None where missing.
    """

    model: str
    positions: NDArray[np.int64]
    ids: NDArray[np.uint64]
    times: NDArray[np.int64]
    versions: list[str | None] | Categories
    predictions: list[Scalar] | Categories | NDArray[np.float64]
    scores: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64] | list[Scalar | None] | Categories]


@dataclass(frozen=True, slots=True)
class LabelRows:
    """Labels of one model in log order, n rows.

    Attributes:
        model: The model's name.
        positions: (n,) int64, ascending: each event's place in its step, from 0; what maps it to the log is the engine's.
        ids: (n,) uint64: xxh3 of the id of the prediction that the label belongs to.
        event_ids: (n,) uint64: xxh3 of the label event's own id.
        times: (n,) int64: when the truth became known, UTC milliseconds.
        labels: n raw labels: classes as written, or floats for a regression.
    """

    model: str
    positions: NDArray[np.int64]
    ids: NDArray[np.uint64]
    event_ids: NDArray[np.uint64]
    times: NDArray[np.int64]
    labels: list[Scalar] | Categories | NDArray[np.float64]
