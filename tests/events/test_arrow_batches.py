"""Events in Arrow streams say what they said in JSON."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.catalog.model_file import ModelFile
from guardian.events.arrow_batches import arrow_of
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.events.unwrap import ARROW, STRUCTURED, unwrap


def model(name, **features):
    spec = {"task": "binary_classification", "positive_label": 1, "protected": ["sex"], "features": features}
    file = {"apiVersion": "guardian/v1alpha1", "kind": "Model", "metadata": {"name": name}, "spec": spec}
    return ModelFile.model_validate_json(msgspec.json.encode(file))


MODELS = {
    "m": model("m", x={"type": "numeric"}, c={"type": "categorical"}),
    "n": model("n", x={"type": "numeric"}, c={"type": "categorical"}),
}


@dataclass
class Record:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: list


def unwrapped(bundles):
    """Return every event that the records hold, as structured JSON, in order."""
    kinds = {True: ARROW, False: STRUCTURED}
    records = [
        Record(i, 7, None, bundle.value, [("content-type", kinds[bundle.is_arrow].encode())]) for i, bundle in enumerate(bundles)
    ]
    found = unwrap(records, None)
    return [part.event(part.first + i, MODELS) for part in found.parts for i in range(len(part))]


def essence(event):
    """Return what an event says, where it came from aside."""
    value = msgspec.json.decode(event)
    data = {name: said for name, said in value["data"].items() if said not in ({}, None)}
    return (value["type"], value["id"], value["time"], msgspec.json.encode(data, order="sorted"))


SOME = st.one_of(st.none(), st.sampled_from(["a", "b", "\u00e9"]))


@st.composite
def events(draw):
    made = []
    for i in range(draw(st.integers(0, 12))):
        at = draw(st.integers(0, 10**12))
        if draw(st.booleans()):
            features = {"x": draw(st.one_of(st.none(), st.floats(-1e9, 1e9))), "c": draw(SOME)}
            data = PredictionData(
                model=draw(st.sampled_from("mn")),
                version=draw(st.sampled_from([None, "1", "2"])),
                features={name: value for name, value in features.items() if value is not None},
                prediction=draw(st.integers(0, 1)),
                score=draw(st.one_of(st.none(), st.floats(0, 1))),
                attributes={"sex": value} if (value := draw(SOME)) else {},
            )
            made.append(encode_prediction(f"p{i}", at, data))
        else:
            made.append(encode_label(at, LabelData(prediction_id=f"p{i}", model="m", label=draw(st.integers(0, 1)))))
    return made


@given(events())
def test_nothing_is_lost_nothing_is_added_and_each_kind_keeps_its_order(sent):
    bundles = arrow_of(sent)
    assert all(bundle.is_arrow for bundle in bundles)
    assert len(bundles) <= 3
    found = list(map(essence, unwrapped(bundles)))
    assert sorted(found) == sorted(map(essence, sent))
    for type_ in {each[0] for each in found}:
        for name in MODELS:
            mine = [each for each in map(essence, sent) if each[0] == type_ and f'"model":"{name}"'.encode() in each[3]]
            assert [each for each in found if each[0] == type_ and f'"model":"{name}"'.encode() in each[3]] == mine


def prediction(id_, **features):
    return encode_prediction(id_, 5, PredictionData(model="m", features=features, prediction=1))


@pytest.mark.parametrize(
    "event",
    [
        b"nonsense",
        b"{}",
        b'{"type":"io.guardian.prediction.v1","id":"\xff"}',
        encode_prediction("a", 5, PredictionData(model="m", features={}, prediction=1, subject="7f3a")),
        encode_prediction("a", 5, PredictionData(model="m", features={})),
        encode_label(5, LabelData(prediction_id="a", model="m", label=1, origin="human")),
        prediction("a").replace(b'"specversion":"1.0"', b'"specversion":"2.0"'),
        prediction("a").replace(b'"source"', b'"traceparent":"00-1","source"'),
        prediction("a").replace(b"1970-01-01T00:00:00.005Z", b"yesterday"),
    ],
)
def test_what_columns_cannot_say_goes_as_it_is(event):
    assert arrow_of([event]) == [(event, False)]
    assert [bundle.value for bundle in arrow_of([prediction("b"), event]) if not bundle.is_arrow] == [event]


def test_a_column_of_numbers_and_texts_goes_as_it_is():
    mixed = [prediction("a", c="red"), prediction("b", c=7.0)]
    assert [bundle.value for bundle in arrow_of(mixed)] == mixed
