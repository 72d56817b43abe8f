"""Columns to Arrow IPC streams, as `emit` sends them in bulk and arrow.decode_arrow reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from guardian.events.arrow_table import ATTRIBUTES, FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class PredictionColumns:
    """Predictions of one model, column by column; every column has a value, or None, for each of n rows.

    Attributes:
        model: The model's name.
        ids: Ids of the events.
        times: Event times, UTC milliseconds.
        predictions: Classes, or numbers for a regression.
        features: Values by feature.
        versions: Which version said so; None: the champion in every row.
        scores: Probabilities of the positive (binary) or predicted (multiclass) class; None: no row has one.
        attributes: Protected attributes that are no features.
    """

    model: str
    ids: Sequence[str]
    times: Sequence[int]
    predictions: Sequence[Any]
    features: Mapping[str, Sequence[Any]]
    versions: Sequence[str | None] | None = None
    scores: Sequence[float | None] | None = None
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LabelColumns:
    """Labels of one model, column by column.

    Attributes:
        model: The model's name.
        prediction_ids: Ids of the predictions.
        times: When each truth became known, UTC milliseconds.
        labels: Classes, or numbers for a regression.
        ids: Ids of the events; None: derived from prediction and time, as encode.encode_label does.
    """

    model: str
    prediction_ids: Sequence[str]
    times: Sequence[int]
    labels: Sequence[Any]
    ids: Sequence[str] | None = None


def arrow_predictions(columns: PredictionColumns) -> bytes:
    """Return predictions as one Arrow IPC stream, texts as dictionaries.

    Raises pyarrow.ArrowInvalid where a column mixes types.
    """
    found: dict[str, Any] = {"id": pa.array(columns.ids, pa.string()), "time": pa.array(columns.times, pa.timestamp("ms", "UTC"))}
    if columns.versions is not None:
        found["version"] = _encoded(columns.versions)
    found["prediction"] = _encoded(columns.predictions)
    if columns.scores is not None:
        found["score"] = pa.array(columns.scores, pa.float64())
    found[FEATURES] = _struct(columns.features, len(columns.ids))
    if columns.attributes:
        found[ATTRIBUTES] = _struct(columns.attributes, len(columns.ids))
    return _stream(found, columns.model)


def arrow_labels(columns: LabelColumns) -> bytes:
    """Return labels as one Arrow IPC stream. Raises pyarrow.ArrowInvalid where a column mixes types."""
    ids = columns.ids
    if ids is None:
        ids = [f"{prediction}/{time}" for prediction, time in zip(columns.prediction_ids, columns.times, strict=True)]
    found = {
        "id": pa.array(ids, pa.string()),
        "time": pa.array(columns.times, pa.timestamp("ms", "UTC")),
        "prediction_id": pa.array(columns.prediction_ids, pa.string()),
        "label": _encoded(columns.labels),
    }
    return _stream(found, columns.model)


def _encoded(values: Sequence[Any]) -> Any:
    array = pa.array(values)
    return array.dictionary_encode() if pa.types.is_string(array.type) else array


def _struct(columns: Mapping[str, Sequence[Any]], n: int) -> Any:
    arrays = [_encoded(values) for values in columns.values()]
    if not arrays:
        return pa.array([{}] * n, pa.struct([]))
    return pa.StructArray.from_arrays(arrays, names=list(columns))


def _stream(columns: Mapping[str, Any], model: str) -> bytes:
    fields = [pa.field(name, array.type) for name, array in columns.items()]
    batch = pa.record_batch(list(columns.values()), schema=pa.schema(fields, metadata={"model": model}))
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(out.getvalue().to_pybytes())
