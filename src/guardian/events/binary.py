"""Events in CloudEvents' binary mode to structured JSON: attributes stand in a record's headers, data alone in its value.

The library `cloudevents` maps headers to attributes; data and time are taken as they are, so that whatever is wrong with them is
said in the same words as of any other event. It is imported when the first such event comes.

Source: CloudEvents 1.0.2, Kafka protocol binding, section 3.2.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardian.events.dead_letter import Problem
from guardian.events.diagnose import not_json, refuse
from guardian.events.envelope import EVENT_BYTES_MAX
from guardian.events.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX: Final = "ce_"

_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode


def structured(headers: Mapping[str, bytes], value: bytes) -> bytes | Problem:
    """Return the event in structured JSON, or what is wrong with it.

    Args:
        headers: By name in lower case; those of the event are named `ce_` and an attribute.
        value: The data, JSON by its content type.

    >>> structured({"ce_specversion": b"1.0", "ce_id": b"a"}, b'{"x": 1}')
    b'{"specversion":"1.0","id":"a","data":{"x": 1}}'
    """
    if not value:
        return Problem(Reason.TOMBSTONE, "$", "An event in binary mode without data.")
    if sum(map(len, headers.values())) > EVENT_BYTES_MAX:
        return Problem(Reason.TOO_LARGE, "$", f"The headers of an event have at most {EVENT_BYTES_MAX} bytes.")
    if (problem := refuse(value)) is not None:
        return problem
    try:
        attributes = _attributes(headers)
    except UnicodeDecodeError:
        return Problem(Reason.NOT_CLOUDEVENTS, "$", "A header is not UTF-8.")
    try:
        data = _raw(value)  # Or else data could close their own field, and open others.
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return not_json(value, error)
    try:
        return msgspec.json.encode({**attributes, "data": data})
    except UnicodeEncodeError:
        return Problem(Reason.NOT_CLOUDEVENTS, "$", "The name of a header is not UTF-8.")


def _attributes(headers: Mapping[str, bytes]) -> dict[str, Any]:
    time = headers.get("ce_time")  # The library reads times that RFC 3339 does not know.
    mapped = _binding()({name: value for name, value in headers.items() if name.startswith(PREFIX) and name != "ce_time"})
    return mapped if time is None else {**mapped, "time": time.decode()}


@cache
def _binding() -> Callable[[Mapping[str, bytes]], dict[str, Any]]:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_binary

    untouched: Any = _Untouched()

    def attributes(headers: Any) -> dict[str, Any]:
        found: Any = from_binary(KafkaMessage(headers, None, b""), untouched, _only_attributes)
        return dict(found)

    return attributes


class _Untouched:
    """A format of the library that leaves data alone."""

    def read_data(self, body: bytes, _kind: str | None) -> bytes:
        return body


def _only_attributes(attributes: dict[str, Any], _data: Any) -> Any:
    return attributes
