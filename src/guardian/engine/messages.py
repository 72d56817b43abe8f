"""JSON Schemas of the messages that guardian sends and of the answers it reads, in the subset that draft-07 and 2020-12 share.

Every list of words comes from the enumeration that the code decides by. Objects are open: a reader must let names pass that it
does not know, so that one can be added. The schemas of predictions and labels are `events.schema`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from guardian.audit.leaf import RECORD_VERSION
from guardian.catalog.model_file import NAME
from guardian.decisions.alerts import Kind
from guardian.decisions.episodes import AlertState
from guardian.decisions.retraining import Declined, RequestState
from guardian.decisions.verdict import Reason as VerdictReason
from guardian.engine.halt import LOG_REASON
from guardian.engine.outbox import SEQUENCE_DIGITS, SOURCE
from guardian.engine.topics import CHECKPOINT_TYPE, COMPLETED_TYPE, DEADLETTER_TYPE, JSON, RECORD_TYPE
from guardian.events.dead_letter import SAMPLE_BYTES_MAX
from guardian.events.envelope import SPECVERSION
from guardian.events.reasons import Reason as DeadReason
from guardian.metrics.registry import REGISTRY
from guardian.pipeline.consequences import ALERT_TYPE, RETRAINING_TYPE
from guardian.policies.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Schema = dict[str, Any]

TOLD: Final = tuple(kind for kind in Kind if kind not in {Kind.PENDING, Kind.EXTENDED, Kind.VANISHED})  # The others go nowhere.
ASKED: Final = (RequestState.REQUESTED, RequestState.APPROVED)  # The states in which a request is announced.

SEQUENCED: Final = frozenset({ALERT_TYPE, RETRAINING_TYPE, RECORD_TYPE})  # The others are told by their places.

_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_MAYBE_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_HASH: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_MODEL: Final[Schema] = {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "The model file's name."}
_MODEL_OR_NONE: Final[Schema] = {"type": "string", "pattern": f"^({NAME.pattern})?$", "description": "Empty where there is none."}
_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}


def outgoing_schema(type_: str) -> Schema:
    """Return the schema of a whole announcement: the CloudEvent in structured JSON. Raises KeyError on an unknown type.

    >>> outgoing_schema("io.guardian.alert.v1")["properties"]["type"]
    {'const': 'io.guardian.alert.v1'}
    """
    properties = {
        "specversion": {"const": SPECVERSION},
        "type": {"const": type_},
        "id": {**_TEXT, "minLength": 1, "description": "Derived from what is said: a copy has the same id, and may be dropped."},
        "source": {"const": SOURCE},
        "time": {**_TIME, "description": "An instant of the model's clock where guardian decides, else of the wall clock."},
        "sequence": {
            "type": "string",
            "pattern": f"^[0-9]{{{SEQUENCE_DIGITS}}}$",
            "description": "Place in the stream, gapless; copies repeat it.",
        },
        "datacontenttype": {"const": JSON},
        "data": DATA[type_],
    }
    required = [name for name in properties if name != "sequence" or type_ in SEQUENCED]
    return _object({**properties, "subject": {**_TEXT, "description": "What it is about."}}, required=required)


def incoming_schema(type_: str) -> Schema:
    """Return the schema of a whole message that a trainer sends. Raises KeyError on an unknown type."""
    properties = {
        "specversion": {"const": SPECVERSION},
        "type": {"const": type_},
        "id": {**_TEXT, "minLength": 1},
        "source": {**_TEXT, "description": "Free text: who says so."},
        "time": _TIME,
        "data": DATA[type_],
    }
    return _object(properties)


def _object(properties: Mapping[str, Any], *, required: Iterable[str] | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(properties if required is None else required),
        "properties": dict(properties),
    }


def _words(words: Iterable[str], what: str) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words], "description": what}


def _window() -> Schema:
    return {**_object({"start": _TIME, "end": _TIME}), "description": "From start, included, to end, excluded."}


def _subject() -> Schema:
    names = ("column", "output", "by", "class", "partition")
    what = "What of the model, empty for the whole of it; or a partition of the log, for an alert about guardian's own working."
    return {"type": "object", "properties": dict.fromkeys(names, _TEXT), "additionalProperties": False, "description": what}


def _alert() -> Schema:
    return _object(
        {
            "id": _ID,
            "model": _MODEL_OR_NONE,
            "version": _TEXT,
            "policy": _TEXT,
            "rule": _TEXT,
            "severity": _words(get_args(Severity), "How bad."),
            "metric": _words((*REGISTRY, ""), "What was measured; empty for an alert about guardian's own working."),
            "subject": _subject(),
            "condition": _words(("threshold", "unknown"), "Beyond the limit, or not to be judged for too long."),
            "state": _words((AlertState.FIRING, AlertState.RESOLVED, AlertState.RETRACTED), "Where the alert stands."),
            "transition": _words(TOLD, "What became of it just now."),
            "started_at": {**_MAYBE_TIME, "description": "End of the window at which it opened."},
            "ended_at": _MAYBE_TIME,
            "first_window": _window(),
            "last_window": _window(),
            "value": _NUMBER,
            "interval": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "threshold": _NUMBER,
            "n": {"type": "integer", "minimum": 0, "description": "Observations behind the value."},
            "reason": _words((*VerdictReason, LOG_REASON), "Why the last window was judged so."),
            "summary": {**_TEXT, "description": "One sentence for people."},
            "replaces": {"type": "array", "items": _ID, "description": "Retracted alerts that it stands in for."},
            "stale": {"type": "boolean", "description": "Closed because nothing judges it any longer."},
            "labels": _TEXTS,
            "annotations": _TEXTS,
            "due_at": {**_TIME, "description": "The instant of the model's clock at which it was judged."},
        }
    )


def _request() -> Schema:
    step = _object({"at": _TIME, "state": _words(RequestState, "What it became."), "by": _TEXT, "note": _TEXT})
    return _object(
        {
            "id": {**_ID, "description": "To be named in the answer."},
            "model": _MODEL,
            "version": _TEXT,
            "state": _words(ASKED, "Where the request stands: a trainer starts when it is approved."),
            "reason": {"type": "string", "enum": ["", *(str(reason) for reason in Declined)]},
            "alert_ids": {"type": "array", "items": _ID, "minItems": 1},
            "proposed_at": _TIME,
            "decided_by": {"type": ["string", "null"]},
            "decided_at": _MAYBE_TIME,
            "premise_retracted": {
                "type": "boolean",
                "description": "The alert that it follows from never was, as it turned out.",
            },
            "history": {"type": "array", "items": step},
            "transition": {**_TEXT, "description": "What happened just now."},
            "at": _TIME,
        }
    )


def _completed() -> Schema:
    properties = {
        "request": {**_ID, "description": "`data.id` of the request."},
        "model": _MODEL,
        "outcome": _words((RequestState.COMPLETED, RequestState.FAILED), "How the training ended."),
    }
    return _object({**properties, "by": _TEXT, "note": _TEXT}, required=properties)


def _record() -> Schema:
    return _object(
        {
            "v": {"const": RECORD_VERSION},
            "stream": {**_TEXT, "description": "decisions/<model>, intake/<partition> or control."},
            "seq": {"type": "integer", "minimum": 0, "description": "Gapless in its stream."},
            "id": {**_TEXT, "minLength": 1},
            "kind": {**_TEXT, "minLength": 1},
            "model": _MODEL_OR_NONE,
            "recorded_at": _TIME,
            "prev": {
                **_HASH,
                "description": "Hash of the record before it: of sha256(0x00 and this object as RFC 8785 writes it).",
            },
            "body": {"type": "object"},
        }
    )


def _checkpoint() -> Schema:
    return _object(
        {
            "origin": {**_TEXT, "description": "guardian/<log id>/<stream>"},
            "size": {"type": "integer", "minimum": 0, "description": "Records that it covers."},
            "root": {**_HASH, "description": "Root of their Merkle tree (RFC 9162)."},
            "note": {**_TEXT, "description": "The signed note, whole: keep this."},
            "at": _TIME,
        }
    )


def _dead_letter() -> Schema:
    return _object(
        {
            "topic": _TEXT,
            "part": {"type": "integer", "minimum": 0},
            "offset": {"type": "integer", "minimum": 0},
            "row": {"type": "integer", "minimum": 0, "description": "Which event of the record at that offset."},
            "reason": _words(DeadReason, "Why it could not be counted."),
            "detail": {**_TEXT, "description": "One sentence."},
            "place": {**_TEXT, "description": "Where in the event, as a JSON path."},
            "model": _MODEL_OR_NONE,
            "size": {"type": "integer", "minimum": 0, "description": "Bytes of the event."},
            "sha256": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
            "sample": {
                **_TEXT,
                "maxLength": SAMPLE_BYTES_MAX,
                "description": "Its first bytes as text; empty where they may be personal.",
            },
            "recorded_at": _TIME,
        }
    )


DATA: Final[Mapping[str, Schema]] = {
    ALERT_TYPE: _alert(),
    RETRAINING_TYPE: _request(),
    COMPLETED_TYPE: _completed(),
    RECORD_TYPE: _record(),
    CHECKPOINT_TYPE: _checkpoint(),
    DEADLETTER_TYPE: _dead_letter(),
}
"""The schema of each type's `data`."""
