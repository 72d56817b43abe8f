"""Logged requests and responses of model servers as they lie in the log: CloudEvents in binary mode or in structured JSON.

KServe's inference logger sends two events of one `id` a call, Seldon's and MLServer's users send the same; who has both in hand
sends one event with the two. Takes messages; gives halves, wholes, or what is wrong with an envelope. Payloads are not looked at.

Sources: KServe pkg/logger (worker.go: types and extensions; handler.go: one id, and a response for status 200 only); CloudEvents
1.0 Kafka protocol binding, as the library `cloudevents` reads it.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from guardian.events.dead_letter import Problem
from guardian.events.diagnose import explain, not_json, refuse
from guardian.events.envelope import EVENT_BYTES_MAX, ID_CHARS_MAX, SPECVERSION, TIME_MS_MAX
from guardian.events.reasons import Reason
from guardian.events.times import parse_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REQUEST_TYPE: Final = "org.kubeflow.serving.inference.request"
RESPONSE_TYPE: Final = "org.kubeflow.serving.inference.response"
INFERENCE_TYPE: Final = "io.guardian.inference.v1"
TYPES: Final = frozenset({REQUEST_TYPE, RESPONSE_TYPE, INFERENCE_TYPE})

_MARKS: Final = (b"org.kubeflow.serving.inference.", INFERENCE_TYPE.encode())
_PREFIX: Final = "ce_"
_STRUCTURED: Final = b"application/cloudevents"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_SAID: Final = {
    Reason.BAD_TIME: "time must be RFC 3339 with an offset, such as 2016-01-01T00:01:47.720Z.",
    Reason.TIME_OUT_OF_RANGE: "time must lie in the years 1970 to 9999.",
}


class Message(Protocol):
    """One record of a log that holds one event."""

    @property
    def offset(self) -> int:
        """Its place in the log."""

    @property
    def timestamp(self) -> int:
        """When the log, or its producer, says that it took it in, UTC milliseconds."""

    @property
    def value(self) -> bytes | None:
        """The event in structured JSON, or its data in binary mode."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values; `ce_` and more in binary mode. One without a value is none."""


class Half(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one logged event says; of a whole, `payload` is `{"request": .., "response": ..}`.

    Attributes:
        kind: The event's type.
        time: Its time in UTC milliseconds; None where it says none.
        offset: Where it lies in the log.
        received: The timestamp of its record.
        payload: The body of the request or response.
    """

    kind: str
    id: str
    source: str
    service: str
    namespace: str
    component: str
    endpoint: str
    time: int | None
    offset: int
    received: int
    payload: bytes

    @property
    def key(self) -> tuple[str, ...]:
        """What both halves of one call have in common: several components of one service may log the same id."""
        return self.id, self.service, self.namespace, self.component, self.endpoint

    @property
    def at(self) -> int:
        """Its time, else its record's, UTC milliseconds."""
        return self.received if self.time is None else self.time

    @property
    def size(self) -> int:
        """Bytes that it takes while it waits, about."""
        return len(self.payload) + len(self.source) + sum(map(len, self.key)) + 64


class _Typed(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class _Event(msgspec.Struct, frozen=True, gc=False):
    id: str
    source: str
    type: str
    specversion: str | None = None
    time: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: str | None = None
    inferenceservicename: str | None = None
    namespace: str | None = None
    component: str | None = None
    endpoint: str | None = None


_typed: Final = msgspec.json.Decoder(_Typed).decode
_event: Final = msgspec.json.Decoder(_Event).decode


def concerns(message: Message) -> bool:
    """Say whether a message may be of a model server. Cheap; never False for one that is.

    Text of JSON that spells letters as escapes is not recognised; no writer does that to letters.
    """
    if _is_structured(message):
        return message.value is not None and any(mark in message.value for mark in _MARKS)
    return _header(message, "ce_type") in {kind.encode() for kind in TYPES}


def half_of(message: Message) -> Half | Problem | None:
    """Return what a message says; None where it is not of a model server after all."""
    return _structured(message) if _is_structured(message) else _binary(message)


def _header(message: Message, name: str) -> bytes | None:
    return next((value for key, value in reversed(message.headers) if value is not None and key.lower() == name), None)


def _is_structured(message: Message) -> bool:
    if not message.headers:
        return True
    kind = _header(message, "content-type") or b""
    return kind.lower().startswith(_STRUCTURED) or _header(message, "ce_type") is None


def _structured(message: Message) -> Half | Problem | None:
    value = message.value or b""
    if (problem := refuse(value)) is not None:
        return problem
    try:
        if _typed(value).type not in TYPES:
            return None
        event = _event(value)
        payload = bytes(event.data) if event.data_base64 is None else base64.b64decode(event.data_base64, validate=True)
    except msgspec.ValidationError as error:
        return explain(str(error), "")
    except binascii.Error:
        return Problem(Reason.WRONG_TYPE, "$.data_base64", "data_base64 must be Base64.")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return not_json(value, error)
    time, bad = None, None
    if event.time is not None:
        times, problems = parse_times([event.time])
        time, bad = int(times[0]), problems.get(0)
    if bad is not None:
        return Problem(bad, "$.time", _SAID[bad])
    names = ("id", "source", "type", "specversion", "inferenceservicename", "namespace", "component", "endpoint")
    return _half(message, {name: getattr(event, name) for name in names}, time, payload)


def _binary(message: Message) -> Half | Problem | None:
    said = ((name.lower(), value) for name, value in message.headers if value is not None)
    headers = {name: value for name, value in said if name.startswith(_PREFIX)}
    if sum(map(len, headers.values())) > EVENT_BYTES_MAX:
        return Problem(Reason.TOO_LARGE, "$", f"The headers of an event have at most {EVENT_BYTES_MAX} bytes.")
    for name in ("specversion", "id"):  # The library would make them up.
        if f"{_PREFIX}{name}" not in headers:
            return Problem(Reason.MISSING_FIELD, f"$.{name}", f"A CloudEvent in binary mode has a header {_PREFIX}{name}.")
    attributes = _attributes(headers)
    if isinstance(attributes, Problem):
        return attributes
    time = None
    if f"{_PREFIX}time" in headers:  # Without it, the library says when it read the event.
        time = (attributes["time"] - _EPOCH) // _MS
        if not 0 <= time <= TIME_MS_MAX:
            return Problem(Reason.TIME_OUT_OF_RANGE, "$.time", _SAID[Reason.TIME_OUT_OF_RANGE])
    return _half(message, attributes, time, message.value or b"") if attributes["type"] in TYPES else None


def _attributes(headers: dict[str, bytes]) -> dict[str, Any] | Problem:
    """Return what the headers say, as the library reads them."""
    from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
    from cloudevents.core.exceptions import CloudEventValidationError
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    try:  # The data stays bytes: it is not given to the library, whose reader of JSON is lenient and has no bounds.
        return from_binary(KafkaMessage(headers, None, b""), JSONFormat(), CloudEvent).get_attributes()
    except UnicodeDecodeError:
        return Problem(Reason.NOT_CLOUDEVENTS, "$", "The headers of an event are UTF-8.")
    except CloudEventValidationError as error:
        return _invalid(error.errors)
    except (ValueError, OverflowError):
        return Problem(Reason.BAD_TIME, "$.time", _SAID[Reason.BAD_TIME])


def _invalid(errors: Mapping[str, Sequence[Exception]]) -> Problem:
    """Return the first thing wrong that the library found."""
    name, found = next(iter(errors.items()))
    reasons = {"id": Reason.BAD_ID, "specversion": Reason.UNKNOWN_SPECVERSION, "time": Reason.BAD_TIME}
    return Problem(reasons.get(name, Reason.NOT_CLOUDEVENTS), _shown(f"$.{name}"), _shown(f"{found[0]}."))


def _shown(text: str) -> str:
    """Return text in which bytes of a header's name that are not UTF-8 are spelled out."""
    return text.encode(errors="backslashreplace").decode()


def _half(message: Message, said: Mapping[str, Any], time: int | None, payload: bytes) -> Half | Problem:
    if said["specversion"] is None:
        return Problem(Reason.NOT_CLOUDEVENTS, "$.specversion", "A CloudEvent says its specversion.")
    if said["specversion"] != SPECVERSION:
        return Problem(Reason.UNKNOWN_SPECVERSION, "$.specversion", f'specversion must be "{SPECVERSION}".')
    if not 0 < len(said["id"]) <= ID_CHARS_MAX:
        return Problem(Reason.BAD_ID, "$.id", f"An id has 1 to {ID_CHARS_MAX} characters.")
    if not payload:
        return Problem(
            Reason.MISSING_FIELD, "$.data", "The event has no data: what is logged is the body of a request or response."
        )
    if time is None and not 0 <= message.timestamp <= TIME_MS_MAX:
        return Problem(Reason.MISSING_FIELD, "$.time", "Neither the event nor its record says a time.")
    return refuse(payload) or Half(
        kind=said["type"],
        id=said["id"],
        source=said["source"],
        service=said.get("inferenceservicename") or "",
        namespace=said.get("namespace") or "",
        component=said.get("component") or "",
        endpoint=said.get("endpoint") or "",
        time=time,
        offset=message.offset,
        received=message.timestamp,
        payload=payload,
    )
