"""Decoded structs to columns: the last step of decoding, where most of its time goes. Grown chunk by chunk, read once."""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xxhash

from guardian.events.rows import LabelRows, PredictionRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.events.shapes import Getter, Shape

_get_score: Final = attrgetter("score")
_get_version: Final = attrgetter("version")
_get_prediction: Final = attrgetter("prediction")
_get_label: Final = attrgetter("label")


class PredictionColumns:
    """The columns of one model's predictions."""

    def __init__(self, shape: Shape) -> None:
        numeric = set(shape.layout.numeric)
        self._shape = shape
        self._offsets: list[NDArray[np.int64]] = []
        self._ids: list[NDArray[np.uint64]] = []
        self._times: list[NDArray[np.int64]] = []
        self._versions: list[Any] = []
        self._predictions: list[Any] = []
        self._scores: list[NDArray[np.float64]] = []
        self._numeric: dict[str, list[NDArray[np.float64]]] = {n: [] for n in shape.features if n in numeric}
        self._categorical: dict[str, list[Any]] = {n: [] for n in shape.features if n not in numeric}

    def add(self, structs: list[Any], offsets: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Append one chunk's decoded predictions."""
        shape = self._shape
        data = [struct.data for struct in structs]
        features = [item.features for item in data]
        attributes = [item.attributes or shape.no_attributes for item in data] if shape.attributes else []
        self._offsets.append(offsets)
        self._ids.append(_hashes([struct.id for struct in structs]))
        self._times.append(times)
        _extend(self._versions, _get_version, data)
        _extend(self._predictions, _get_prediction, data)
        self._scores.append(_floats(_get_score, data))
        for name, parts in self._numeric.items():
            parts.append(_floats(shape.features[name], features))
        for name, values in self._categorical.items():
            if name in shape.attributes:
                _extend_either(values, (shape.attributes[name], attributes), (shape.features[name], features))
            else:
                _extend(values, shape.features[name], features)

    def rows(self) -> PredictionRows:
        """Return everything added, in its order."""
        columns: dict[str, Any] = {
            name: np.concatenate(self._numeric[name]) if name in self._numeric else self._categorical[name]
            for name in self._shape.features
        }
        return PredictionRows(
            model=self._shape.layout.model,
            offsets=np.concatenate(self._offsets),
            ids=np.concatenate(self._ids),
            times=np.concatenate(self._times),
            versions=self._versions,
            predictions=self._predictions,
            scores=np.concatenate(self._scores),
            columns=columns,
        )


class LabelColumns:
    """The columns of one model's labels."""

    def __init__(self, shape: Shape) -> None:
        self._model = shape.layout.model
        self._offsets: list[NDArray[np.int64]] = []
        self._ids: list[NDArray[np.uint64]] = []
        self._event_ids: list[NDArray[np.uint64]] = []
        self._times: list[NDArray[np.int64]] = []
        self._labels: list[Any] = []

    def add(self, structs: list[Any], offsets: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Append one chunk's decoded labels."""
        data = [struct.data for struct in structs]
        self._offsets.append(offsets)
        self._ids.append(_hashes([item.prediction_id for item in data]))
        self._event_ids.append(_hashes([struct.id for struct in structs]))
        self._times.append(times)
        _extend(self._labels, _get_label, data)

    def rows(self) -> LabelRows:
        """Return everything added, in its order."""
        return LabelRows(
            model=self._model,
            offsets=np.concatenate(self._offsets),
            ids=np.concatenate(self._ids),
            event_ids=np.concatenate(self._event_ids),
            times=np.concatenate(self._times),
            labels=self._labels,
        )


def _floats(get: Getter, structs: list[Any]) -> NDArray[np.float64]:
    try:
        return np.fromiter(map(get, structs), np.float64, len(structs))
    except TypeError:  # An explicit null; np.array makes NaN of it, at twice the cost.
        return np.array(list(map(get, structs)), np.float64)


def _extend(values: list[Any], get: Getter, structs: list[Any]) -> None:
    """Append raw values, equal strings as one object: what outlives a chunk points to few strings, whose hash is known."""
    before = len(values)
    try:
        values.extend(map(sys.intern, map(get, structs)))
    except TypeError:  # Not all are strings.
        del values[before:]
        values.extend(map(get, structs))
        _share(values, before)


def _extend_either(values: list[Any], first: tuple[Getter, list[Any]], second: tuple[Getter, list[Any]]) -> None:
    """Append the first place's values, and where it has none, the second's."""
    before = len(values)
    values.extend(map(*first))
    if None in values[before:]:
        either = zip(values[before:], map(*second), strict=True)
        values[before:] = [other if value is None else value for value, other in either]
    _share(values, before)


def _share(values: list[Any], start: int) -> None:
    # By type, not by a dictionary of values, in which 1 and True would be one.
    if str in set(map(type, values[start:])):
        values[start:] = [sys.intern(value) if type(value) is str else value for value in values[start:]]


def _hashes(ids: list[str]) -> NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids))
