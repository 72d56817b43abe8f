"""Rows to bytes: CloudEvents 1.0 in structured JSON, as `emit` sends them and decoding reads them.

The same event is always the same bytes: keys stand in one order, and a missing value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads it
from typing import Any, Final

import msgspec

from guardian.events.envelope import LABEL_TYPE, PREDICTION_TYPE, SPECVERSION
from guardian.events.rows import Scalar  # noqa: TC001 - msgspec reads it
from guardian.units import format_time

EMIT_SOURCE: Final = "/guardian/emit"

_encode: Final = msgspec.json.Encoder().encode


class PredictionData(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What a model said about one case.

    Attributes:
        model: The model's name.
        version: Which version of it said so; None: the champion.
        features: Values by feature, finite and without nulls; what is missing is left out.
        prediction: A class, or a number for a regression.
        score: Probability of the positive (binary) or predicted (multiclass) class.
        attributes: Protected attributes that are no features.
        subject: Pseudonym of the person.
    """

    model: str
    version: str | None = None
    features: Mapping[str, Scalar]
    prediction: Scalar | None = None
    score: float | None = None
    attributes: Mapping[str, Scalar] = msgspec.field(default_factory=dict)
    subject: str | None = None


class LabelData(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What turned out to be true of one prediction.

    Attributes:
        prediction_id: The id of the prediction event.
        model: The model's name.
        label: A class, or a number for a regression.
        origin: Who says so, e.g. `human`.
    """

    prediction_id: str
    model: str
    label: Scalar | None = None
    origin: str | None = None


def encode_prediction(event_id: str, time_ms: int, data: PredictionData, source: str = EMIT_SOURCE) -> bytes:
    """Return the event that says `data` at `time_ms`, UTC milliseconds.

    >>> encode_prediction("a", 0, PredictionData(model="m", features={"x": 1.5}, prediction=1), "/s")[:75]
    b'{"specversion":"1.0","type":"io.guardian.prediction.v1","id":"a","source":"'
    """
    return _event(PREDICTION_TYPE, event_id, time_ms, source, data)


def encode_label(time_ms: int, data: LabelData, source: str = EMIT_SOURCE, event_id: str | None = None) -> bytes:
    """Return the event that says `data`, known since `time_ms`; its id is by default derived from both.

    >>> b'"id":"a/5"' in encode_label(5, LabelData(prediction_id="a", model="m", label=1))
    True
    """
    return _event(LABEL_TYPE, event_id or f"{data.prediction_id}/{time_ms}", time_ms, source, data)


def _event(kind: str, event_id: str, time_ms: int, source: str, data: Any) -> bytes:
    return _encode(
        {
            "specversion": SPECVERSION,
            "type": kind,
            "id": event_id,
            "source": source,
            "time": format_time(time_ms),
            "data": data,
        }
    )
