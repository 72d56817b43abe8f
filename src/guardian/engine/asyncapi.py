"""The AsyncAPI document of an installation: topics, messages and operations, all of it from the registries that the code runs by.

Takes a prefix and where the broker is. Gives a JSON value, always the same for the same arguments. Operations are told as
guardian does them: it receives events, it sends alerts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from guardian.engine.messages import incoming_schema, outgoing_schema
from guardian.engine.topics import EVENTS, JSON, SPECS, full_name
from guardian.events.envelope import ID_CHARS_MAX, LABEL_TYPE, PREDICTION_TYPE, SPECVERSION
from guardian.events.halves import INFERENCE_TYPE, REQUEST_TYPE, RESPONSE_TYPE, TYPES
from guardian.events.schema import events_schema
from guardian.events.unwrap import ARROW, BATCH, STRUCTURED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.engine.topics import TopicSpec

ASYNCAPI: Final = "3.1.0"
BINDINGS: Final = "0.5.0"  # Of the Kafka bindings.

_EVENTS: Final = {
    PREDICTION_TYPE: "prediction",
    LABEL_TYPE: "label",
    INFERENCE_TYPE: "inference",
    REQUEST_TYPE: "inferenceRequest",
    RESPONSE_TYPE: "inferenceResponse",
}
_HALF: Final = "inferenceHalf"  # The schema of both, request and response.
_HALVES: Final = frozenset({REQUEST_TYPE, RESPONSE_TYPE})
_BATCHED: Final = (PREDICTION_TYPE, LABEL_TYPE)  # What a model server logs comes one event a record.
_MECHANISMS: Final = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
_TITLES: Final = {STRUCTURED: "", JSON: "Binary"}
_HEADER: Final = {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Server:
    """Where the broker is.

    Attributes:
        addresses: `host:port`, each.
        tls: Whether the line is encrypted.
        mechanism: How clients say who they are, e.g. `SCRAM-SHA-512`; empty where they do not.
    """

    addresses: tuple[str, ...]
    tls: bool = False
    mechanism: str = ""


def asyncapi(version: str, prefix: str, group: str, server: Server | None = None) -> dict[str, Any]:
    """Return the AsyncAPI document.

    Args:
        version: guardian's own.
        prefix: What the names of topics begin with.
        group: The workers' consumer group.
        server: Where the broker is; None leaves servers out.

    >>> document = asyncapi("1", "guardian", "guardian")
    >>> document["channels"]["alerts"]["address"], document["operations"]["sendAlerts"]["action"]
    ('guardian.alerts', 'send')
    """
    messages = {name: message for spec in SPECS for name, message in _messages(spec)}
    document: dict[str, Any] = {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "guardian",
            "version": version,
            "description": "What guardian reads of models, and what it says of them. Every message is a CloudEvent 1.0.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": STRUCTURED,
        "channels": {_camel(spec.name): _channel(spec, prefix) for spec in SPECS},
        "operations": {_operation_name(spec): _operation(spec, group) for spec in SPECS},
        "components": {"messages": messages, "schemas": _schemas()},
    }
    if server is not None:
        document["servers"] = {f"broker{i}": _server(server, address) for i, address in enumerate(server.addresses)}
        if server.mechanism:
            document["components"]["securitySchemes"] = {"user": {"type": _MECHANISMS[server.mechanism]}}
    return document


def message_names(spec: TopicSpec) -> list[str]:
    """Return the names of a topic's messages, as the document's components call them."""
    return [name for name, _ in _messages(spec)]


def _server(server: Server, address: str) -> dict[str, Any]:
    told: dict[str, Any] = {"host": address, "protocol": "kafka-secure" if server.tls else "kafka"}
    if server.mechanism:
        told["security"] = [{"$ref": "#/components/securitySchemes/user"}]
    return told


def _channel(spec: TopicSpec, prefix: str) -> dict[str, Any]:
    topic = full_name(prefix, spec.name)
    settings = {
        "cleanup.policy": [spec.cleanup],
        "retention.ms": spec.retention_ms,
        "retention.bytes": -1,
        "max.message.bytes": spec.bytes_max,
    }
    kafka = {"topic": topic, "partitions": spec.partitions, "topicConfiguration": settings, "bindingVersion": BINDINGS}
    return {
        "address": topic,
        "title": spec.name,
        "description": f"{spec.what} Key: {spec.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in message_names(spec)},
        "bindings": {"kafka": kafka},
    }


def _operation_name(spec: TopicSpec) -> str:
    name = _camel(spec.name)
    return f"{_action(spec)}{name[0].upper()}{name[1:]}"


def _action(spec: TopicSpec) -> str:
    return "receive" if spec.direction == "in" else "send"


def _operation(spec: TopicSpec, group: str) -> dict[str, Any]:
    channel = f"#/channels/{_camel(spec.name)}"
    told: dict[str, Any] = {
        "action": _action(spec),
        "channel": {"$ref": channel},
        "summary": spec.what,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in message_names(spec)],
    }
    if spec.direction == "in":
        told["bindings"] = {"kafka": {"groupId": {"type": "string", "const": group}, "bindingVersion": BINDINGS}}
    return told


def _messages(spec: TopicSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    for type_ in spec.types:
        name = _name_of(type_)
        for form in (form for form in spec.formats if form in _TITLES):
            yield f"{name}{_TITLES[form]}", _message(spec, type_, form)
    events = [{"$ref": _schema_of(type_)} for type_ in spec.types if type_ in _BATCHED]
    if BATCH in spec.formats:
        payload = {"type": "array", "minItems": 1, "items": {"oneOf": events}}
        yield f"{spec.name}Batch", _framed(spec, "Several events of one key's partition.", BATCH, payload)
    if ARROW in spec.formats:
        payload = {"type": "string", "format": "binary", "description": "An Arrow IPC stream, one row an event."}
        yield f"{spec.name}Arrow", _framed(spec, "Many events as columns, for bulk.", ARROW, payload)


def _message(spec: TopicSpec, type_: str, form: str) -> dict[str, Any]:
    schema = _schema_of(type_)
    if form == STRUCTURED:
        payload: dict[str, Any] = {"$ref": schema}
        if type_ in _HALVES:
            payload = {"allOf": [payload, {"properties": {"type": {"const": type_}}}]}
        return _framed(spec, f"{type_}, structured.", form, payload, title=type_)
    data = {"$ref": f"{schema}/properties/data"}
    told = _framed(spec, f"{type_}, binary: the envelope in headers.", form, data, title=type_)
    names = ("ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time")
    fixed = {"ce_specversion": {"const": SPECVERSION}, "ce_type": {"const": type_}}
    told["headers"]["properties"] |= dict.fromkeys(names, _HEADER) | fixed
    told["headers"]["required"] += [
        name for name in names if name != "ce_time" or type_ not in TYPES
    ]  # A server may leave it to the record.
    return told


def _schema_of(type_: str) -> str:
    return f"#/components/schemas/{_HALF if type_ in _HALVES else _name_of(type_)}"


def _framed(spec: TopicSpec, summary: str, form: str, payload: dict[str, Any], *, title: str = "") -> dict[str, Any]:
    key: dict[str, Any] = {"type": "string", "description": spec.key}
    if spec.name == EVENTS:
        key["maxLength"] = ID_CHARS_MAX
    return {
        **({"title": title} if title else {}),
        "summary": summary,
        "contentType": form,
        "headers": {"type": "object", "required": ["content-type"], "properties": {"content-type": {"const": form}}},
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDINGS}},
    }


def _schemas() -> dict[str, Any]:
    events = events_schema()["$defs"]
    schemas: dict[str, Any] = {name: _moved(schema) for name, schema in events.items()}
    for spec in SPECS:
        make = incoming_schema if spec.direction == "in" else outgoing_schema
        schemas |= {_name_of(type_): make(type_) for type_ in spec.types if type_ not in _EVENTS}
    return schemas


def _moved(schema: Any) -> Any:
    """Return a schema whose references lead into this document's components."""
    if isinstance(schema, dict):
        return {
            name: value.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _moved(value)
            for name, value in schema.items()
        }
    return [_moved(item) for item in schema] if isinstance(schema, list) else schema


def _name_of(type_: str) -> str:
    """Return what the document calls a type: `auditRecord` for `io.guardian.audit.record.v1`."""
    return _EVENTS.get(type_) or _camel(".".join(type_.split(".")[2:-1]))


def _camel(dotted: str) -> str:
    first, *rest = dotted.split(".")
    return first + "".join(word.title() for word in rest)
