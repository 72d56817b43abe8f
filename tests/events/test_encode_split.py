"""Writing events and taking input apart: what is written is read again, and no line is lost."""

import json

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from guardian.events.codec import decode
from guardian.events.dead_letter import DeadLetter
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.events.envelope import TIME_MS_MAX
from guardian.events.rows import LabelRows, PredictionRows
from guardian.events.schema import events_schema
from guardian.events.split import split
from guardian.testing.example_events import LABEL, MODELS, PREDICTION

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
values = st.one_of(st.text(st.characters(codec="utf-8"), max_size=8), st.integers(), st.booleans())
VALIDATOR = Draft202012Validator(events_schema())


@given(ids, st.integers(0, TIME_MS_MAX), st.floats(allow_nan=False, allow_infinity=False), values, st.floats(0, 1))
def test_a_written_prediction_is_read_again(event_id, at, salary, purpose, score):
    data = PredictionData(model="loans", features={"salary": salary, "purpose": purpose}, prediction=0, score=score)
    event = encode_prediction(event_id, at, data)
    (rows,) = decode([event], 0, MODELS)
    assert isinstance(rows, PredictionRows)
    assert (rows.times[0], rows.columns["salary"][0], rows.scores[0]) == (at, salary, score)
    assert rows.columns["purpose"] == [purpose]
    assert event == encode_prediction(event_id, at, data)
    assert VALIDATOR.is_valid(json.loads(event))


@given(ids, st.integers(0, TIME_MS_MAX), values)
def test_a_written_label_is_read_again(prediction_id, at, label):
    event = encode_label(at, LabelData(prediction_id=prediction_id, model="loans", label=label))
    (rows,) = decode([event], 0, MODELS)
    assert isinstance(rows, LabelRows)
    assert (rows.times[0], rows.labels) == (at, [label])
    assert json.loads(event)["id"] == f"{prediction_id}/{at}"


def test_keys_stand_in_one_order_and_missing_values_are_left_out():
    data = PredictionData(model="m", version="2", features={}, prediction=1, score=0.5, attributes={"a": 1}, subject="p")
    whole = json.loads(encode_prediction("i", 0, data, "/s"))
    assert list(whole) == ["specversion", "type", "id", "source", "time", "data"]
    assert list(whole["data"]) == ["model", "version", "features", "prediction", "score", "attributes", "subject"]
    bare = json.loads(encode_prediction("i", 0, PredictionData(model="m", features={})))
    assert bare["data"] == {"model": "m", "features": {}}
    (letter,) = decode([encode_label(0, LabelData(prediction_id="i", model="loans"))], 0, MODELS)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.place) == ("missing-field", "$.data.label")


@given(st.lists(st.lists(st.sampled_from([PREDICTION, LABEL, b"5", b'"[,]"', b"null"]), max_size=4), max_size=5))
def test_batches_come_apart_as_they_were_put_together(batches):
    lines = [b"[" + b" , ".join(batch) + b"]\r\n" for batch in batches]
    assert list(split(lines)) == [event for batch in batches for event in batch]


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=10))
def test_no_line_is_lost(lines):
    for line in lines:
        found = list(split([line]))
        if not found and line.strip():
            assert msgspec.json.decode(line) == []
        if not line.strip().startswith(b"["):
            assert found == ([line.strip()] if line.strip() else [])


def test_what_cannot_be_split_stays_one_event():
    for line in (b"[" + PREDICTION, b"[" + PREDICTION + b"] x", b"[" * 100_000):
        assert list(split([line])) == [line]


def test_the_schema_holds_for_what_decodes():
    Draft202012Validator.check_schema(events_schema())
    for event in (PREDICTION, LABEL):
        assert VALIDATOR.is_valid(json.loads(event))
        assert not VALIDATOR.is_valid(json.loads(event.replace(b'"loans"', b"null")))
    assert not VALIDATOR.is_valid(json.loads(PREDICTION.replace(b'"loan-1"', b'""')))
    assert not VALIDATOR.is_valid(json.loads(PREDICTION.replace(b'"version":"1"', b'"version":"*"')))
    assert np.isnan(next(iter(decode([PREDICTION.replace(b"0.75", b"null")], 0, MODELS))).scores[0])
