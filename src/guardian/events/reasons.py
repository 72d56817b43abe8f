"""Why an event was not counted. Public: dashboards, tests and `guardian get deadletters` match on these codes."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of dead letters.

    `tombstone`, `unknown-content-type` and `not-arrow` are of whole records of a log; `not-a-class`, `too-many-versions` and
    `labels-not-declared` are found by coding, `value-out-of-range` by decoding and coding, `bad-shape` and `unpaired` where
    requests and responses of a server are read as predictions, `unreadable` by a fleet's last resort, the rest by decoding.
    """

    TOMBSTONE = "tombstone"
    UNKNOWN_CONTENT_TYPE = "unknown-content-type"
    NOT_ARROW = "not-arrow"
    NOT_JSON = "not-json"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    NOT_CLOUDEVENTS = "not-cloudevents"
    UNKNOWN_SPECVERSION = "unknown-specversion"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_MODEL = "unknown-model"
    MISSING_FIELD = "missing-field"
    WRONG_TYPE = "wrong-type"
    NOT_FINITE = "not-finite"
    BAD_TIME = "bad-time"
    TIME_OUT_OF_RANGE = "time-out-of-range"
    SCORE_OUT_OF_RANGE = "score-out-of-range"
    BAD_ID = "bad-id"
    BAD_VERSION = "bad-version"
    WRONG_PARTITION = "wrong-partition"
    NOT_A_CLASS = "not-a-class"
    VALUE_OUT_OF_RANGE = "value-out-of-range"
    TOO_MANY_VERSIONS = "too-many-versions"
    LABELS_NOT_DECLARED = "labels-not-declared"
    BAD_SHAPE = "bad-shape"
    UNPAIRED = "unpaired"
    UNREADABLE = "unreadable"
