"""Joining requests and responses: any order, any copies, any cut of the log, bounds, and every kind of envelope."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from guardian.events import pairs as module
from guardian.events.envelope import EVENT_BYTES_MAX
from guardian.events.halves import REQUEST_TYPE, RESPONSE_TYPE, concerns, half_of
from guardian.events.pairs import Pairs, Unreadable
from guardian.events.reasons import Reason
from guardian.events.schema import events_schema
from guardian.testing.example_events import LABEL, MODELS, PREDICTION, model_file

REQUEST, RESPONSE = b'{"instances": [[1.5, "car"]]}', b'{"predictions": [1]}'
TIME = "2026-01-05T09:12:44.103921874Z"


@dataclass(frozen=True)
class Record:
    offset: int
    timestamp: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def half(kind: str, id_: str = "a", offset: int = 0, value: bytes | None = None, **attributes: str | None) -> Record:
    """A half in binary mode as KServe's logger writes it; an attribute that is None is left out."""
    said: dict[str, str | None] = {
        "specversion": "1.0",
        "id": id_,
        "source": "http://localhost:9081/",
        "type": REQUEST_TYPE if kind == "request" else RESPONSE_TYPE,
        "time": TIME,
        "inferenceservicename": "loans",
        "namespace": "default",
        "component": "predictor",
        "endpoint": "",
    }
    headers = tuple((f"ce_{name}", text.encode()) for name, text in (said | attributes).items() if text is not None)
    payload = (REQUEST if kind == "request" else RESPONSE) if value is None else value
    return Record(offset, 1_767_604_365_000 + offset, payload, (*headers, ("content-type", b"application/json")))


def only(taken: list[bytes | Unreadable]) -> Unreadable:
    (found,) = taken
    assert isinstance(found, Unreadable)
    return found


def test_a_prediction_has_the_id_source_and_time_of_its_call():
    pairs = Pairs(MODELS)
    assert pairs.take(half("request", "call-1")) == []
    (event,) = pairs.take(half("response", "call-1", time="2026-01-05T10:12:45.9999+01:00"))
    assert json.loads(event) == {
        "specversion": "1.0",
        "type": "io.guardian.prediction.v1",
        "id": "call-1",
        "source": "http://localhost:9081/",
        "time": "2026-01-05T09:12:45.999Z",
        "data": {"model": "loans", "features": {"salary": 1.5, "purpose": "car"}, "prediction": 1},
    }


@pytest.mark.parametrize("response_first", [False, True])
@pytest.mark.parametrize(
    ("request_time", "response_time", "expected"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01.000Z"),
        ("2026-01-01T00:00:00Z", None, "2026-01-01T00:00:00.000Z"),
        (None, None, "2026-01-05T09:12:45.007Z"),
    ],
)
def test_time_is_the_responses_else_the_requests_else_the_records(request_time, response_time, expected, response_first):
    records = [half("request", offset=3, time=request_time), half("response", offset=7, time=response_time)]
    pairs = Pairs(MODELS)
    events = [event for record in records[:: -1 if response_first else 1] for event in pairs.take(record)]
    assert json.loads(events[0])["time"] == expected


def test_copies_change_nothing():
    pairs = Pairs(MODELS)
    assert pairs.take(half("request")) == []
    before = pairs.to_bytes()
    assert pairs.take(half("request", offset=1, value=b'{"instances": [[2, "bus"]]}')) == []
    assert not pairs.touched
    assert pairs.to_bytes() == before
    assert len(pairs.take(half("response", offset=2))) == 1
    for record in (half("response", offset=3), half("request", offset=4), half("response", offset=5)):
        assert pairs.take(record) == []
    assert len(pairs) == 0


def test_one_id_of_two_components_or_services_is_two_calls():
    models = {"loans": model_file("loans"), "others": model_file("others")}
    pairs = Pairs(models)
    where = [{}, {"component": "transformer"}, {"namespace": "b"}, {"endpoint": "canary"}, {"inferenceservicename": "others"}]
    for attributes in where:
        assert pairs.take(half("request", **attributes)) == []
    assert len(pairs) == len(where)
    for attributes in where:
        assert len(pairs.take(half("response", **attributes))) == 1


def test_touched_is_whether_it_must_be_stored():
    pairs = Pairs(MODELS)
    pairs.take(half("request", value=b""))
    pairs.take(half("request", inferenceservicename="nobody"))
    pairs.take(Record(0, 0, PREDICTION))
    assert not pairs.touched
    pairs.take(half("request"))
    assert pairs.touched
    pairs = Pairs.from_bytes(pairs.to_bytes(), MODELS)
    assert not pairs.touched
    pairs.take(half("response"))
    assert pairs.touched


# What waits is bounded.


def test_the_oldest_half_is_given_up_when_too_many_wait(monkeypatch):
    monkeypatch.setattr(module, "PAIRS_MAX", 2)
    pairs = Pairs(MODELS)
    assert [pairs.take(half("request", id_, offset)) for offset, id_ in enumerate("ab")] == [[], []]
    given_up = only(pairs.take(half("response", "c", 2)))
    assert (given_up.value, given_up.problem.reason, given_up.problem.model) == (REQUEST, Reason.UNPAIRED, "loans")
    assert given_up.problem.detail == "The request at offset 0 waited for its response until there was no room for it."
    assert only(pairs.take(half("response", "a", 3))).problem.detail.startswith("The request at offset 1 ")
    assert only(pairs.take(half("request", "d", 4))).problem.detail.startswith("The response at offset 2 waited for its request ")


def test_what_waits_is_bounded_in_bytes_as_well(monkeypatch):
    monkeypatch.setattr(module, "PAIRS_BYTES_MAX", 3_000)
    pairs = Pairs(MODELS)
    large = b" " * 1_000 + REQUEST
    taken = [pairs.take(half("request", id_, value=large)) for id_ in "abcdef"]
    assert [len(found) for found in taken] == [0, 0, 1, 1, 1, 1]
    again = Pairs.from_bytes(pairs.to_bytes(), MODELS)
    assert len(again.take(half("request", "g", value=large))) == 1
    assert len(again.take(half("request", "h", value=b" " * 2_000))) == 2


def test_what_was_joined_takes_no_room(monkeypatch):
    monkeypatch.setattr(module, "PAIRS_BYTES_MAX", 1_000)
    pairs = Pairs(MODELS)
    taken = [pairs.take(half(kind, str(i))) for i in range(20) for kind in ("request", "response")]
    assert [len(found) for found in taken] == [0, 1] * 20


def test_copies_are_recognised_for_so_many_calls(monkeypatch):
    monkeypatch.setattr(module, "DONE_MAX", 2)
    pairs = Pairs(MODELS)
    for id_ in "abc":
        assert len(pairs.take(half("request", id_)) + pairs.take(half("response", id_))) == 1
    assert [pairs.take(half("response", id_)) for id_ in "bca"] == [[], [], []]
    assert len(pairs) == 1


# Any cut of the same records gives the same.


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    kinds = st.sampled_from(["request", "response"])
    values = st.sampled_from([None, None, None, b"{}", b"[", b'{"instances": [[1, 2], [3, 4]]}', b'{"predictions": [1, 0]}'])
    drawn = draw(
        st.lists(st.tuples(kinds, st.sampled_from("abcd"), values, st.sampled_from(["loans", "kinds", "no"])), max_size=25)
    )
    return [half(kind, id_, offset, value, inferenceservicename=name) for offset, (kind, id_, value, name) in enumerate(drawn)]


def folded(records: list[Record], cuts: set[int]) -> tuple[list[bytes | Unreadable], bytes]:
    """Fold, and go through bytes, as after a restart, before each record in `cuts`."""
    pairs = Pairs(MODELS)
    out: list[bytes | Unreadable] = []
    for i, record in enumerate(records):
        if i in cuts:
            pairs = Pairs.from_bytes(pairs.to_bytes(), MODELS)
        out += pairs.take(record)
    return out, pairs.to_bytes()


@given(logs(), st.sets(st.integers(0, 25)))
def test_no_cut_shows_in_what_comes_out(records, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAIRS_MAX", 3)
        patch.setattr(module, "DONE_MAX", 2)
        assert folded(records, cuts) == folded(records, set())


@given(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=50)
def test_every_call_becomes_its_prediction_once_in_any_order(ids, random, twice):
    records = [half(kind, id_) for id_ in ids for kind in ("request", "response")] * (2 if twice else 1)
    random.shuffle(records)
    pairs = Pairs(MODELS)
    events = [event for offset, record in enumerate(records) for event in pairs.take(replace(record, offset=offset))]
    assert sorted(json.loads(event)["id"] for event in events) == sorted(ids)
    assert len(set(events)) == len(ids)
    assert len(pairs) == 0


# Which model it is.


def test_a_service_may_be_of_another_name_and_of_several_models():
    spec = {"serving": {"service": "credit-risk"}}
    models = {name: model_file(name, **spec) for name in ("b", "a")} | {"loans": model_file("loans")}
    pairs = Pairs(models)
    pairs.take(half("request", inferenceservicename="credit-risk"))
    events = pairs.take(half("response", inferenceservicename="credit-risk"))
    assert [json.loads(event)["data"]["model"] for event in events] == ["a", "b"]
    problem = only(pairs.take(half("request", inferenceservicename="a"))).problem
    assert (problem.reason, problem.place, problem.model) == (Reason.UNKNOWN_MODEL, "$.inferenceservicename", "a")


def test_without_a_service_the_response_names_the_model():
    pairs = Pairs(MODELS)
    answer = {"outputs": [{"name": "predict", "shape": [1], "datatype": "INT64", "data": [1]}]}
    for name, model in (("loans", "loans"), ("nobody", "nobody"), ("No such / model", ""), (None, "")):
        id_ = f"of {name}"
        assert pairs.take(half("request", id_, inferenceservicename=None)) == []
        value = json.dumps(answer | {"model_name": name}).encode()
        (found,) = pairs.take(half("response", id_, value=value, inferenceservicename=None))
        if name == "loans":
            assert json.loads(found)["data"]["model"] == "loans"
        else:
            assert (found.problem.reason, found.problem.model) == (Reason.UNKNOWN_MODEL, model)
    assert len(pairs) == 0


def test_a_call_that_cannot_be_read_is_one_dead_letter():
    pairs = Pairs(MODELS)
    pairs.take(half("request", value=b"{}"))
    found = only(pairs.take(half("response")))
    assert (found.value, found.problem.reason, found.problem.place) == (RESPONSE, Reason.MISSING_FIELD, "$.request.inputs")
    assert len(pairs) == 0


# Envelopes.


@pytest.mark.parametrize("structured", [False, True])
def test_both_modes_as_the_library_writes_them(structured):
    write = to_structured_event if structured else to_binary_event
    pairs, events = Pairs(MODELS), []
    for offset, (kind, data) in enumerate(((REQUEST_TYPE, json.loads(REQUEST)), (RESPONSE_TYPE, json.loads(RESPONSE)))):
        attributes = {
            "type": kind,
            "source": "/s",
            "id": "a",
            "inferenceservicename": "loans",
            "datacontenttype": "application/json",
        }
        message = write(CloudEvent(attributes, data))
        record = Record(offset, 0, message.value, tuple(message.headers.items()))
        assert concerns(record)
        events += pairs.take(record)
    assert [json.loads(event)["id"] for event in events] == ["a"]


def structured(value: object, **headers: bytes) -> Record:
    return Record(0, 5, value if isinstance(value, bytes) else json.dumps(value).encode(), tuple(headers.items()))


ENVELOPE = {"specversion": "1.0", "id": "a", "source": "s", "type": REQUEST_TYPE, "inferenceservicename": "loans", "data": {}}


def test_halves_of_both_modes_meet():
    pairs = Pairs(MODELS)
    pairs.take(structured(ENVELOPE | {"data": json.loads(REQUEST), "namespace": "default", "component": "predictor"}))
    assert len(pairs.take(half("response"))) == 1


def test_data_in_base64_is_read():
    found = half_of(structured({key: ENVELOPE[key] for key in ENVELOPE if key != "data"} | {"data_base64": "eyJhIjogMX0="}))
    assert found.payload == b'{"a": 1}'


@pytest.mark.parametrize(
    "record",
    [
        Record(0, 0, PREDICTION),
        Record(0, 0, LABEL, (("content-type", b"application/json"),)),
        Record(0, 0, None),
        Record(0, 0, PREDICTION, (("ce_type", b"io.guardian.prediction.v1"),)),
    ],
)
def test_other_events_are_none_of_its_business(record):
    assert not concerns(record)


def test_what_only_mentions_a_server_comes_back_as_it_is():
    event = PREDICTION.replace(b'"car"', b'"org.kubeflow.serving.inference.request"')
    assert concerns(Record(0, 0, event))
    assert Pairs(MODELS).take(Record(0, 0, event)) == [event]


@pytest.mark.parametrize(
    ("attributes", "reason", "place"),
    [
        ({"id": None}, Reason.MISSING_FIELD, "$.id"),
        ({"id": ""}, Reason.BAD_ID, "$.id"),
        ({"id": "a" * 513}, Reason.BAD_ID, "$.id"),
        ({"specversion": None}, Reason.MISSING_FIELD, "$.specversion"),
        ({"specversion": "0.3"}, Reason.UNKNOWN_SPECVERSION, "$.specversion"),
        ({"source": None}, Reason.NOT_CLOUDEVENTS, "$.source"),
        ({"time": "yesterday"}, Reason.BAD_TIME, "$.time"),
        ({"time": "2026-01-05T09:12:44"}, Reason.BAD_TIME, "$.time"),
        ({"time": "1969-12-31T23:59:59Z"}, Reason.TIME_OUT_OF_RANGE, "$.time"),
        ({"value": b""}, Reason.MISSING_FIELD, "$.data"),
        ({"value": b" " * (EVENT_BYTES_MAX + 1)}, Reason.TOO_LARGE, "$"),
        ({"value": b"[" * 700 + b"]" * 700}, Reason.TOO_DEEP, "$"),
        ({"annotations": "a" * EVENT_BYTES_MAX}, Reason.TOO_LARGE, "$"),
    ],
)
def test_an_envelope_in_binary_mode_that_cannot_be_read(attributes, reason, place):
    found = only(Pairs(MODELS).take(half("request", **{"id_": attributes.pop("id", "a")} | attributes)))
    assert (found.problem.reason, found.problem.place) == (reason, place)
    assert found.problem.detail.endswith(".")


def test_headers_are_utf_8_and_a_time_must_come_from_somewhere():
    record = half("request")
    broken = replace(record, headers=(*record.headers, ("ce_subject", b"\xff")))
    assert only(Pairs(MODELS).take(broken)).problem.reason is Reason.NOT_CLOUDEVENTS
    named = only(Pairs(MODELS).take(replace(record, headers=(*record.headers, ("ce_caf\udce9", b"1"))))).problem
    assert (named.reason, named.place) == (Reason.NOT_CLOUDEVENTS, "$.caf\\udce9")
    assert named.detail.isascii()
    timeless = replace(half("request", time=None), timestamp=-1)
    assert only(Pairs(MODELS).take(timeless)).problem.place == "$.time"
    tombstone = replace(record, value=None)
    assert only(Pairs(MODELS).take(tombstone)) == Unreadable(b"", only(Pairs(MODELS).take(half("request", value=b""))).problem)


@pytest.mark.parametrize(
    ("event", "reason", "place"),
    [
        (ENVELOPE | {"specversion": "0.3"}, Reason.UNKNOWN_SPECVERSION, "$.specversion"),
        ({key: ENVELOPE[key] for key in ENVELOPE if key != "specversion"}, Reason.NOT_CLOUDEVENTS, "$.specversion"),
        ({key: ENVELOPE[key] for key in ENVELOPE if key != "id"}, Reason.MISSING_FIELD, "$.id"),
        ({key: ENVELOPE[key] for key in ENVELOPE if key != "data"}, Reason.MISSING_FIELD, "$.data"),
        (ENVELOPE | {"id": ""}, Reason.BAD_ID, "$.id"),
        (ENVELOPE | {"id": 1}, Reason.WRONG_TYPE, "$.id"),
        (ENVELOPE | {"time": "now"}, Reason.BAD_TIME, "$.time"),
        (ENVELOPE | {"data_base64": "?"}, Reason.WRONG_TYPE, "$.data_base64"),
        (b'{"type": "org.kubeflow.serving.inference.request', Reason.NOT_JSON, "$"),
        (b" " * EVENT_BYTES_MAX + b"{}", Reason.TOO_LARGE, "$"),
    ],
)
def test_an_envelope_in_structured_mode_that_cannot_be_read(event, reason, place):
    found = only(Pairs(MODELS).take(structured(event)))
    assert (found.problem.reason, found.problem.place) == (reason, place)
    assert found.problem.detail.endswith(".")


def test_a_header_that_is_null_is_none():
    record = half("request")
    for name in ("ce_subject", "ce_id", "CE_Type", "content-type"):
        assert half_of(replace(record, headers=(*record.headers, (name, None)))) == half_of(record)
    for name in ("ce_id", "ce_specversion", "ce_source"):
        lacking = tuple(header for header in record.headers if header[0] != name)
        assert half_of(replace(record, headers=(*lacking, (name, None)))) == half_of(replace(record, headers=lacking))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["type", "id", "time", "specversion", "source", "x y", "data", "\udce9"]),
            st.none() | st.binary(max_size=12),
        )
    )
)
def test_no_headers_break_the_reading(drawn):
    record = half("request")
    for item in Pairs(MODELS).take(replace(record, headers=(*record.headers, *((f"CE_{name}", value) for name, value in drawn)))):
        assert isinstance(item, Unreadable | bytes)


def test_the_examples_of_the_manual_are_read():
    page = (Path(__file__).parents[2] / "docs/events.md").read_text("utf-8")
    request = json.loads(re.search(r"^{.inputs.*}$", page, re.MULTILINE)[0])
    examples = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]
    of_servers = [event for event in examples if "inference" in event["type"]]
    assert len(of_servers) == 2
    validator = Draft202012Validator(events_schema())
    assert all(map(validator.is_valid, of_servers))
    names = ("id", "source", "inferenceservicename", "namespace", "component", "endpoint")
    asked = {name: of_servers[0][name] for name in names} | {"specversion": "1.0", "type": REQUEST_TYPE, "data": request}
    assert validator.is_valid(asked)
    features = {"income": {"type": "numeric"}, "region": {"type": "categorical"}}
    pairs = Pairs({"credit": model_file("credit", features=features, protected=[])})
    assert [len(pairs.take(structured(event))) for event in (asked, *of_servers)] == [0, 2, 1]


# Both in one event.


WHOLE = {"specversion": "1.0", "id": "a", "source": "s", "type": "io.guardian.inference.v1", "time": "2026-01-05T09:12:44Z"}


def whole(**data: object) -> Record:
    return structured(WHOLE | {"data": {"request": json.loads(REQUEST), "response": json.loads(RESPONSE)} | data})


def test_a_whole_names_its_model_and_version_itself():
    for data, version in (({}, None), ({"version": "7"}, "7")):
        (event,) = Pairs(MODELS).take(whole(model="loans", **data))
        assert json.loads(event)["data"].get("version") == version
    answer = {"model_name": "loans", "model_version": "8", "predictions": [1]}
    (event,) = Pairs(MODELS).take(whole(response=answer, version="7"))
    assert json.loads(event)["data"]["version"] == "8"
    service = Record(0, 0, whole().value.replace(b'"source"', b'"inferenceservicename": "loans", "source"'))
    assert len(Pairs(MODELS).take(service)) == 1


def test_a_whole_may_come_in_binary_mode():
    value = json.dumps({"request": json.loads(REQUEST), "response": json.loads(RESPONSE)}).encode()
    assert len(Pairs(MODELS).take(half("request", value=value, type="io.guardian.inference.v1"))) == 1


@pytest.mark.parametrize(
    ("data", "reason", "place"),
    [
        ({"model": 5}, Reason.WRONG_TYPE, "$.data.model"),
        ({}, Reason.UNKNOWN_MODEL, "$.data.response.model_name"),
        ({"model": "nobody"}, Reason.UNKNOWN_MODEL, "$.data.model"),
        ({"model": "loans", "request": {}}, Reason.MISSING_FIELD, "$.data.request.inputs"),
        ({"model": "loans", "response": 5}, Reason.WRONG_TYPE, "$.data.response"),
    ],
)
def test_a_whole_that_cannot_be_read(data, reason, place):
    found = only(Pairs(MODELS).take(whole(**data)))
    assert (found.problem.reason, found.problem.place) == (reason, place)


def test_a_whole_needs_both_sides():
    found = only(Pairs(MODELS).take(structured(WHOLE | {"data": {"request": {}}})))
    assert (found.problem.reason, found.problem.place) == (Reason.MISSING_FIELD, "$.data.response")
