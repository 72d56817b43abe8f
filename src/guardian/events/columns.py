"""Decoded structs to columns: the last step of decoding, where most of its time goes."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xxhash

from guardian.events.rows import LabelRows, PredictionRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.events.shapes import Getter, Shape

_get_score: Final = attrgetter("score")


def prediction_rows(shape: Shape, structs: list[Any], offsets: NDArray[np.int64], times: NDArray[np.int64]) -> PredictionRows:
    """Return the columns of one model's decoded predictions."""
    data = [struct.data for struct in structs]
    features = [item.features for item in data]
    attributes = [item.attributes or shape.no_attributes for item in data] if shape.attributes else []
    numeric = shape.layout.numeric
    columns: dict[str, Any] = {}
    for name, get in shape.features.items():
        if name in shape.attributes:
            columns[name] = _either(list(map(shape.attributes[name], attributes)), get, features)
        else:
            columns[name] = _floats(get, features) if name in numeric else list(map(get, features))
    return PredictionRows(
        model=shape.layout.model,
        offsets=offsets,
        ids=_hashes([struct.id for struct in structs]),
        times=times,
        versions=[item.version for item in data],
        predictions=[item.prediction for item in data],
        scores=_floats(_get_score, data),
        columns=columns,
    )


def label_rows(shape: Shape, structs: list[Any], offsets: NDArray[np.int64], times: NDArray[np.int64]) -> LabelRows:
    """Return the columns of one model's decoded labels."""
    data = [struct.data for struct in structs]
    return LabelRows(
        model=shape.layout.model,
        offsets=offsets,
        ids=_hashes([item.prediction_id for item in data]),
        event_ids=_hashes([struct.id for struct in structs]),
        times=times,
        labels=[item.label for item in data],
    )


def _floats(get: Getter, structs: list[Any]) -> NDArray[np.float64]:
    try:
        return np.fromiter(map(get, structs), np.float64, len(structs))
    except TypeError:  # An explicit null; np.array makes NaN of it, at twice the cost.
        return np.array(list(map(get, structs)), np.float64)


def _either(values: list[Any], get: Getter, features: list[Any]) -> list[Any]:
    """Return an attribute's values, and where an event lacks it, its feature of that name."""
    if None not in values:
        return values
    return [get(item) if value is None else value for value, item in zip(values, features, strict=True)]


def _hashes(ids: list[str]) -> NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids))
