"""What is wrong with an event that did not decode: a public reason, a place, a sentence. Slow, and only for the few.

Reads the event again without types, so that what is no JSON and what is no CloudEvent are told apart from what merely does
not fit its model; then sorts msgspec's own message. Never: decides whether an event is good (the typed decoder does).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from guardian.catalog.model_file import NAME
from guardian.events.dead_letter import Problem
from guardian.events.envelope import DEPTH_MAX, EVENT_BYTES_MAX, LABEL_TYPE, PREDICTION_TYPE, SPECVERSION
from guardian.events.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_TOO_DEEP: Final = 2 * (DEPTH_MAX + 1)  # Bytes: an opening and a closing bracket a level.

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OPEN, _CLOSE, _FOLD = ord("{"), ord("}"), 0x20  # Bit 0x20 turns [ and ] into { and }, and makes nothing else one of them.
_CODES: Final = tuple(
    (re.compile(pattern, re.DOTALL), reason)
    for pattern, reason in (
        (r"Object missing required field", Reason.MISSING_FIELD),
        (r"Number out of range", Reason.NOT_FINITE),
        (r"Integer value out of range", Reason.VALUE_OUT_OF_RANGE),
        (r"Invalid value.* at \$\.type$", Reason.UNKNOWN_TYPE),
        (r"Invalid value", Reason.UNKNOWN_MODEL),
        (r"Expected `str` of length", Reason.BAD_ID),
        (r"Expected `float` [<>]=", Reason.SCORE_OUT_OF_RANGE),
    )
)


def refuse(event: bytes) -> Problem | None:
    """Say why `event` is not to be decoded at all, if so; only events of SHORTEST_TOO_DEEP bytes or more can be refused.

    >>> refuse(b"[" * 700 + b"]" * 700).reason
    <Reason.TOO_DEEP: 'too-deep'>
    """
    if len(event) > EVENT_BYTES_MAX:
        return Problem(Reason.TOO_LARGE, "$", f"An event has at most {EVENT_BYTES_MAX} bytes, this one {len(event)}.")
    # Fewer brackets than that cannot be nested that deep, and few events have as many: the exact answer is rarely needed.
    if event.count(b"{") + event.count(b"[") > DEPTH_MAX and _depth(event) > DEPTH_MAX:
        return Problem(Reason.TOO_DEEP, "$", f"Objects and arrays may be nested {DEPTH_MAX} deep.")
    return None


def diagnose(event: bytes, error: Exception, models: frozenset[str]) -> Problem:
    """Say what is wrong with `event`, which the typed decoder refused with `error`."""
    if not isinstance(error, msgspec.ValidationError):
        return not_json(event, error)
    try:
        value = msgspec.json.decode(event)
    except msgspec.ValidationError:  # A number beyond a double's or a guarded integer's range, maybe where nobody looks.
        value = _leniently(event)
        if value is None:
            return Problem(Reason.NOT_JSON, "$", "It is no JSON.")
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return not_json(event, malformed)
    model = _model_of(value)
    return _envelope(value, model, models) or explain(str(error), model)


def _leniently(event: bytes) -> Any:
    """Read JSON that may hold numbers which are not finite; None where it is no JSON even so."""
    try:
        return json.loads(event.decode(), parse_int=float)
    except ValueError:
        return None


def not_json(event: bytes, error: Exception) -> Problem:
    """Say why msgspec read no JSON: tell numbers that are not finite, which some writers emit, from what is no JSON at all."""
    spelled = b"NaN" in event or b"Infinity" in event
    place = next(_not_finite(_leniently(event)), None) if spelled else None
    if place is not None:
        return Problem(Reason.NOT_FINITE, place, "Numbers must be finite; leave out a value that is missing.")
    text = "It is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return Problem(Reason.NOT_JSON, "$", f"{text}.")


def _not_finite(value: Any) -> Iterator[str]:
    waiting = [("$", value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            yield place
        elif isinstance(item, dict):
            waiting.extend((f"{place}.{key}", inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list):
            waiting.extend((f"{place}[{i}]", inner) for i, inner in reversed(list(enumerate(item))))


def _model_of(value: Any) -> str:
    """Return the model that an event names, if it could be one's name."""
    data = value.get("data") if isinstance(value, dict) else None
    model = data.get("model") if isinstance(data, dict) else None
    return model if isinstance(model, str) and NAME.fullmatch(model) else ""


def _envelope(value: Any, model: str, models: frozenset[str]) -> Problem | None:
    """Check from the outside in, so that the reason is the outermost thing wrong."""
    if not isinstance(value, dict):
        return Problem(Reason.NOT_CLOUDEVENTS, "$", "An event is a JSON object.", model)
    if "specversion" not in value:
        return Problem(Reason.NOT_CLOUDEVENTS, "$.specversion", "A CloudEvent says its specversion.", model)
    if value["specversion"] != SPECVERSION:
        return Problem(Reason.UNKNOWN_SPECVERSION, "$.specversion", f'specversion must be "{SPECVERSION}".', model)
    kind = value.get("type")
    if isinstance(kind, str) and kind not in (PREDICTION_TYPE, LABEL_TYPE):
        known = f"type must be {PREDICTION_TYPE} or {LABEL_TYPE}."
        return Problem(Reason.UNKNOWN_TYPE, "$.type", known, model)
    if model and model not in models:
        return Problem(Reason.UNKNOWN_MODEL, "$.data.model", f"No model file is named {model}.", model)
    return None


def explain(message: str, model: str) -> Problem:
    """Read reason and place out of msgspec's message, e.g. "Expected `str`, got `int` - at `$.data.version`"."""
    what, _, place = message.rpartition(" - at `") if " - at `" in message else (message, "", "$`")
    place = place.removesuffix("`")
    text = f"{what} at {place}"
    reason = next((reason for pattern, reason in _CODES if pattern.match(text)), Reason.WRONG_TYPE)
    if reason is Reason.MISSING_FIELD:
        place = f"{place}.{what.split('`')[1]}"
    return Problem(reason, place, f"{what}.", model)


def _depth(event: bytes) -> int:
    folded = np.frombuffer(_STRING.sub(b"", event), np.uint8) | _FOLD
    steps = (folded == _OPEN).astype(np.int64) - (folded == _CLOSE)
    return int(np.cumsum(steps).max(initial=0))
