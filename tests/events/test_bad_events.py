"""One file a mistake: each is a dead letter with its public reason and its place, whatever stands beside it."""

import hashlib
import json
from pathlib import Path

import pytest

from guardian.events.codec import decode
from guardian.events.dead_letter import SAMPLE_BYTES_MAX, DeadLetter
from guardian.events.envelope import DEPTH_MAX, EVENT_BYTES_MAX
from guardian.events.reasons import Reason
from guardian.testing.example_events import LABEL, MODELS, PREDICTION, model_file

BAD = sorted((Path(__file__).parent / "bad").glob("*.json"))
OF_PAIRS = {Reason.BAD_SHAPE, Reason.UNPAIRED}  # In test_inference and test_pairs.
OF_LOGS = {Reason.TOMBSTONE, Reason.UNKNOWN_CONTENT_TYPE, Reason.NOT_ARROW, Reason.WRONG_PARTITION, Reason.UNREADABLE}
COUNTED_LATER = {Reason.NOT_A_CLASS, Reason.TOO_MANY_VERSIONS, Reason.LABELS_NOT_DECLARED}


def only(event: bytes) -> DeadLetter:
    (letter,) = decode([event], 7, MODELS)
    assert isinstance(letter, DeadLetter)
    return letter


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_each_mistake_has_its_reason_and_place(path):
    case = json.loads(path.read_text())
    event = case["event"].encode()
    letter = only(event)
    assert (letter.reason, letter.place) == (case["reason"], case["place"])
    assert letter.detail.endswith(".")
    assert (letter.offset, letter.size) == (7, len(event))
    assert letter.sha256 == "sha256:" + hashlib.sha256(event).hexdigest()
    assert letter.sample == (event[:SAMPLE_BYTES_MAX] if letter.model in MODELS else b"")


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (PREDICTION.replace(b"1200.5", b'"a lot"'), True),
        (PREDICTION.replace(b"1200.5", b'"a lot"').replace(b"loans", b"people"), False),
        (PREDICTION.replace(b"loans", b"nobody"), False),
        (PREDICTION[:-1], False),
    ],
)
def test_nothing_is_kept_of_an_event_that_may_be_personal(event, kept):
    features = {"salary": {"type": "numeric", "pii": True}, "purpose": {"type": "categorical"}}
    (letter,) = decode([event], 7, {**MODELS, "people": model_file("people", features=features)})
    assert isinstance(letter, DeadLetter)
    assert letter.sample == (event if kept else b"")
    assert (letter.size, letter.sha256) == (len(event), "sha256:" + hashlib.sha256(event).hexdigest())


def deep(levels: int) -> bytes:
    return PREDICTION.replace(b'"source"', b'"x":' + b'{"a":[' * (levels // 2) + b"]}" * (levels // 2) + b',"source"')


@pytest.mark.parametrize(
    ("event", "reason", "place"),
    [
        (PREDICTION.replace(b'"car"', b'"\xff"'), Reason.NOT_JSON, "$"),
        (PREDICTION.replace(b'"car"', b'"\xed\xa0\x80"'), Reason.NOT_JSON, "$"),
        (b"\xef\xbb\xbf" + PREDICTION, Reason.NOT_JSON, "$"),
        (PREDICTION.decode().encode("utf-16"), Reason.NOT_JSON, "$"),
        (b"\x00", Reason.NOT_JSON, "$"),
        (b"[" * 100_000, Reason.TOO_DEEP, "$"),
        (deep(2 * DEPTH_MAX), Reason.TOO_DEEP, "$"),
        (PREDICTION.replace(b'"car"', b"9" * 5_000), Reason.VALUE_OUT_OF_RANGE, "$.data.features.purpose"),
        (PREDICTION.replace(b'"car"', b"1e400")[:-1], Reason.NOT_JSON, "$"),
        (PREDICTION.replace(b"1200.5", b"NaN")[:-1], Reason.NOT_JSON, "$"),
        (PREDICTION.replace(b'"source"', b'"x":[1,{"y":Infinity}],"source"'), Reason.NOT_FINITE, "$.x[1].y"),
        (b"[1e400]", Reason.NOT_CLOUDEVENTS, "$"),
        (PREDICTION + b" " * EVENT_BYTES_MAX, Reason.TOO_LARGE, "$"),
        (PREDICTION.replace(b'"version":"1"', b'"version":"' + b"1" * 129 + b'"'), Reason.BAD_VERSION, "$.data.version"),
        (PREDICTION.replace(b'"version":"1"', rb'"version":"1\u0000"'), Reason.BAD_VERSION, "$.data.version"),
    ],
)
def test_what_no_text_file_can_hold(event, reason, place):
    letter = only(event)
    assert (letter.reason, letter.place) == (reason, place)
    assert len(letter.sample) <= SAMPLE_BYTES_MAX


def test_every_reason_of_decoding_is_shown_here():
    shown = {json.loads(path.read_text())["reason"] for path in BAD}
    elsewhere = {Reason.TOO_DEEP, Reason.TOO_LARGE, Reason.VALUE_OUT_OF_RANGE}
    assert shown | elsewhere | COUNTED_LATER | OF_PAIRS | OF_LOGS == set(Reason)


def test_brackets_in_text_and_beside_each_other_are_not_depth():
    wide = PREDICTION.replace(b'"source"', b'"x":[' + b"[]," * DEPTH_MAX + b'"' + b"[" * DEPTH_MAX + b'\\"["],"source"')
    for event in (wide, deep(DEPTH_MAX - 2)):
        (rows,) = decode([event], 0, MODELS)
        assert rows.positions.tolist() == [0]


def test_the_model_is_named_only_where_it_could_be_one():
    assert only(PREDICTION.replace(b'"prediction":1', b'"prediction":null')).model == "loans"
    assert only(PREDICTION.replace(b'"loans"', b'"lones"')).model == "lones"
    assert only(PREDICTION.replace(b'"loans"', b'"No such / model"')).model == ""
    assert only(LABEL.replace(b"2018", b"1918")).model == "loans"


def test_without_models_every_event_is_of_an_unknown_model():
    (letter,) = decode([PREDICTION], 0, {})
    assert (letter.reason, letter.place) == (Reason.UNKNOWN_MODEL, "$.data.model")
