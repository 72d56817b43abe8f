"""Decoded structs to columns: the last step of decoding, where most of its time goes."""

from __future__ import annotations

import struct
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import xxhash

from guardian.events.rows import LabelRows, PredictionRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from guardian.events.shapes import Shape


def prediction_rows(shape: Shape, structs: list[Any], positions: NDArray[np.int64], times: NDArray[np.int64]) -> PredictionRows:
    """Return the columns of one model's decoded predictions."""
    data = [event.data for event in structs]
    numeric = shape.layout.numeric
    columns = _transposed(shape.layout.columns, [item.features for item in data])
    given = [item.attributes for item in data]
    if shape.layout.protected and any(given):
        attributes = _transposed(shape.layout.protected, [item or shape.no_attributes for item in given])
        columns |= {name: _either(values, columns[name]) for name, values in attributes.items()}
    return PredictionRows(
        model=shape.layout.model,
        positions=positions,
        ids=_hashes([event.id for event in structs]),
        times=times,
        versions=[item.version for item in data],
        predictions=[item.prediction for item in data],
        scores=_floats([item.score for item in data]),
        columns={name: _floats(values) if name in numeric else values for name, values in columns.items()},
    )


def label_rows(shape: Shape, structs: list[Any], positions: NDArray[np.int64], times: NDArray[np.int64]) -> LabelRows:
    """Return the columns of one model's decoded labels."""
    data = [event.data for event in structs]
    return LabelRows(
        model=shape.layout.model,
        positions=positions,
        ids=_hashes([item.prediction_id for item in data]),
        event_ids=_hashes([event.id for event in structs]),
        times=times,
        labels=[item.label for item in data],
    )


def _transposed(names: Sequence[str], structs: list[Any]) -> dict[str, list[Any]]:
    """Return the values of each field: taking all fields of a struct at once is faster than a getter for each."""
    # One row lives at a time: zip(*rows) would keep them all, and an iterator each, for the garbage collector to look through.
    flat = list(chain.from_iterable(map(msgspec.structs.astuple, structs)))
    return {name: flat[i :: len(names)] for i, name in enumerate(names)}


def _floats(values: list[float | None]) -> NDArray[np.float64]:
    try:
        return np.frombuffer(struct.pack(f"{len(values)}d", *values))  # A third of what np.array takes.
    except struct.error:  # An explicit null; np.array makes NaN of it.
        return np.array(values, np.float64)


def _either(values: list[Any], features: list[Any]) -> list[Any]:
    """Return an attribute's values, and where an event lacks it, its feature of that name."""
    if None not in values:
        return values
    return [feature if value is None else value for value, feature in zip(values, features, strict=True)]


def _hashes(ids: list[str]) -> NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids))
