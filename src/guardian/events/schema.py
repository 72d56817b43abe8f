"""JSON Schema of the events that guardian reads: what `guardian schema events` prints.

A producer's contract in one document. Which features a model has stands in its model file, so any feature may appear here.
"""

from __future__ import annotations

from typing import Any, Final

from guardian.catalog.model_file import NAME
from guardian.events.envelope import (
    ID_CHARS_MAX,
    LABEL_TYPE,
    PREDICTION_TYPE,
    SPECVERSION,
    VERSION_CHARS_MAX,
)
from guardian.events.halves import INFERENCE_TYPE, REQUEST_TYPE, RESPONSE_TYPE

SCHEMA_ID: Final = "https://json-schema.org/draft/2020-12/schema"
_TIME: Final = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"


def events_schema() -> dict[str, Any]:
    """Return the schema of one event: a prediction, a label, or a model server's request and response.

    >>> [way["$ref"] for way in events_schema()["oneOf"]]
    ['#/$defs/prediction', '#/$defs/label', '#/$defs/inference', '#/$defs/inferenceHalf']
    """
    return {
        "$schema": SCHEMA_ID,
        "title": "guardian events",
        "description": "CloudEvents 1.0 in structured JSON. Unknown extension attributes and features are ignored.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("prediction", "label", "inference", "inferenceHalf")],
        "$defs": {
            "prediction": _event(PREDICTION_TYPE, _prediction_data()),
            "label": _event(LABEL_TYPE, _label_data()),
            "inference": _server_event({"const": INFERENCE_TYPE}, _inference_data()),
            "inferenceHalf": _server_event({"enum": [REQUEST_TYPE, RESPONSE_TYPE]}, {"$ref": "#/$defs/body"}),
            "body": _body(),
            "id": {"type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX},
            "model": {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "The model file's name."},
            "value": {"type": ["string", "number", "boolean"]},
            "values": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
        },
    }


def _event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "specversion": {"const": SPECVERSION},
        "type": {"const": kind},
        "id": {"$ref": "#/$defs/id", "description": "The same id twice is the same event: it counts once."},
        "source": {"type": "string", "description": "Free text: who says so."},
        "time": {
            "type": "string",
            "pattern": _TIME,
            "description": "RFC 3339 with an offset; years 1970 to 9999. Of a label: when the truth became known.",
        },
        "data": data,
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _server_event(kind: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what a server logs: its time may be its record's, and its service may be named elsewhere."""
    whole = _event("", data)
    names = ("inferenceservicename", "namespace", "component", "endpoint")
    extensions = {name: {"type": ["string", "null"], "description": f"KServe's extension {name}."} for name in names}
    required = [name for name in whole["required"] if name != "time"]
    return {**whole, "required": required, "properties": whole["properties"] | extensions | {"type": kind}}


def _inference_data() -> dict[str, Any]:
    body = {"$ref": "#/$defs/body"}
    return {
        "type": "object",
        "required": ["request", "response"],
        "properties": {
            "model": {"type": "string", "description": "The model, where neither inferenceservicename nor the response says it."},
            "version": {"type": ["string", "null"], "description": "Its version, where the response says none."},
            "request": body,
            "response": body,
        },
    }


def _body() -> dict[str, Any]:
    lists = {name: {"type": ["array", "null"]} for name in ("inputs", "outputs", "instances", "predictions")}
    return {
        "type": "object",
        "description": "The body of a request or response: V1, or V2, which is the Open Inference Protocol.",
        "properties": lists,
    }


def _prediction_data() -> dict[str, Any]:
    version = {"type": ["string", "null"], "minLength": 1, "maxLength": VERSION_CHARS_MAX, "not": {"const": "*"}}
    version["pattern"] = r"^[^\u0000]*$"
    return {
        "type": "object",
        "required": ["model", "features", "prediction"],
        "properties": {
            "model": {"$ref": "#/$defs/model"},
            "version": {**version, "description": "Which version of the model; absent: the champion."},
            "features": {"$ref": "#/$defs/values", "description": "Inputs; what is missing is null or left out."},
            "prediction": {"$ref": "#/$defs/value", "description": "A class, or a number for a regression."},
            "score": {
                "type": ["number", "null"],
                "description": "Probability of the positive (binary) or predicted (multiclass) class, 0 to 1.",
            },
            "attributes": {
                "anyOf": [{"$ref": "#/$defs/values"}, {"type": "null"}],
                "description": "Protected attributes; they win over features of the same name.",
            },
            "subject": {"type": ["string", "null"], "description": "Pseudonym of the person."},
        },
    }


def _label_data() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["model", "prediction_id", "label"],
        "properties": {
            "model": {"$ref": "#/$defs/model"},
            "prediction_id": {"$ref": "#/$defs/id", "description": "The id of the prediction event."},
            "label": {"$ref": "#/$defs/value", "description": "A class, or a number for a regression."},
            "origin": {"type": ["string", "null"], "description": "Who says so, e.g. human."},
        },
    }
