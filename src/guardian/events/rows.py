"""Decoded events as columns: what `count` folds. Row i of every array and list is one event.

Takes nothing, decides nothing; `codec.decode` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scalar = str | int | float | bool
"""A category, class or label as a producer wrote it; `catalog.parameters.canonical_key` makes one key of it."""


@dataclass(frozen=True, slots=True)
class PredictionRows:
    """Predictions of one model in log order, n rows.

    Attributes:
        model: The model's name.
        positions: (n,) int64, ascending: each event's place in its step, from 0; what maps it to the log is the engine's.
        ids: (n,) uint64: xxh3 of the event's id.
        times: (n,) int64: event time in UTC milliseconds.
        versions: n versions as the events say them; None where they say none.
        predictions: n raw predictions: a class as written, or a float for a regression.
        scores: (n,) float64, NaN where an event has none.
        columns: By name, for every feature and protected attribute of the model file: numeric as (n,) float64, NaN where
            missing; categorical as n raw values, None where missing.
    """

    model: str
    positions: NDArray[np.int64]
    ids: NDArray[np.uint64]
    times: NDArray[np.int64]
    versions: list[str | None]
    predictions: list[Scalar]
    scores: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64] | list[Scalar | None]]


@dataclass(frozen=True, slots=True)
class LabelRows:
    """Labels of one model in log order, n rows.

    Attributes:
        model: The model's name.
        positions: (n,) int64, ascending: each event's place in its step, from 0; what maps it to the log is the engine's.
        ids: (n,) uint64: xxh3 of the id of the prediction that the label belongs to.
        event_ids: (n,) uint64: xxh3 of the label event's own id.
        times: (n,) int64: when the truth became known, UTC milliseconds.
        labels: n raw labels: a class as written, or a float for a regression.
    """

    model: str
    positions: NDArray[np.int64]
    ids: NDArray[np.uint64]
    event_ids: NDArray[np.uint64]
    times: NDArray[np.int64]
    labels: list[Scalar]
