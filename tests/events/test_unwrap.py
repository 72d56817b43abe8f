"""Records by their headers: what each holds, where each event stands in the log, and that nothing of a record is lost."""

import json
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import numpy as np
import pytest
from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from guardian.events.arrow_encode import PredictionColumns, arrow_predictions
from guardian.events.dead_letter import DeadLetter
from guardian.events.envelope import EVENT_BYTES_MAX, RECORD_BYTES_MAX
from guardian.events.halves import INFERENCE_TYPE
from guardian.events.pairs import Pairs
from guardian.events.parts import ArrowPart, JsonPart
from guardian.events.reasons import Reason
from guardian.events.rows import PredictionRows
from guardian.events.unwrap import ARROW, BATCH, STRUCTURED, Unwrapped, unwrap
from guardian.testing.example_events import LABEL, MODELS, PREDICTION

AT = 1_540_922_400_000


@dataclass
class Record:
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None


def of_kind(kind: str, value: bytes | None) -> Record:
    return Record(value, [("Content-Type", kind.encode())])


def binary(event: bytes, **headers: bytes | None) -> Record:
    said = json.loads(event)
    data = msgspec.json.encode(said.pop("data"))
    own = {f"ce_{name}": value.encode() for name, value in said.items()} | {"content-type": b"application/json"}
    named = {name.replace("content_type", "content-type"): value for name, value in headers.items()}
    return Record(data, [(name, value) for name, value in (own | named).items() if value is not None])


def arrow(*ids: str, model: str = "loans") -> Record:
    columns = PredictionColumns(
        model=model, ids=ids, times=[AT] * len(ids), predictions=[1] * len(ids), features={"purpose": ["car"] * len(ids)}
    )
    return of_kind(ARROW, arrow_predictions(columns))


def numbered(records: list[Record], first: int = 100) -> list[Record]:
    for i, record in enumerate(records):
        record.offset, record.timestamp = first + 2 * i, AT + i  # Offsets have holes, where transactions end.
    return records


def unwrapped(*records: Record, pairs: Pairs | None = None) -> Unwrapped:
    found = unwrap(numbered(list(records)), pairs)
    n, last = 0, None
    for part in found.parts:
        assert (part.first, len(part) > 0) == (n, True)
        assert not isinstance(part, JsonPart) or not isinstance(last, JsonPart)
        n, last = n + len(part), part
    assert [len(array) for array in (found.offsets, found.rows, found.times)] == [n] * 3
    assert {array.dtype for array in (found.offsets, found.rows, found.times)} == {np.dtype(np.int64)}
    return found


def decoded(found: Unwrapped) -> dict[int, str]:
    """What became of each position: its reason, or that it is a row."""
    out = {}
    for part in found.parts:
        for item in part.decode(MODELS):
            if isinstance(item, DeadLetter):
                out[item.offset] = item.reason
            else:
                out |= dict.fromkeys(item.positions.tolist(), type(item).__name__)
    assert sorted(out) == list(range(len(found.offsets)))
    return out


def only(record: Record) -> str:
    return decoded(unwrapped(record))[0]


@pytest.mark.parametrize("pairs", [None, Pairs(MODELS)])
@pytest.mark.parametrize(
    "headers", [[], [("content-type", STRUCTURED.encode())], [("Content-Type", b"Application/CloudEvents+JSON; charset=UTF-8")]]
)
def test_records_of_structured_json_are_taken_as_they_are(headers, pairs):
    found = unwrapped(*(Record(event, list(headers)) for event in (PREDICTION, LABEL, b"{", b"")), pairs=pairs)
    (part,) = found.parts
    assert isinstance(part, JsonPart)
    assert list(part.events) == [PREDICTION, LABEL, b"{", b""]
    assert found.offsets.tolist() == [100, 102, 104, 106]
    assert found.rows.tolist() == [0] * 4
    assert found.times.tolist() == [AT, AT + 1, AT + 2, AT + 3]
    assert decoded(found) == {0: "PredictionRows", 1: "LabelRows", 2: "not-json", 3: "not-json"}


@pytest.mark.parametrize(
    ("record", "fate"),
    [
        (of_kind("application/json", PREDICTION), "PredictionRows"),
        (of_kind("text/json", PREDICTION), "PredictionRows"),
        (of_kind("application/cloudevents", PREDICTION), "PredictionRows"),
        (Record(PREDICTION, [("traceparent", b"00-1-2-01")]), "PredictionRows"),
        (Record(PREDICTION, [("content-type", STRUCTURED.encode()), ("ce_id", b"another")]), "PredictionRows"),
        (of_kind("application/avro", PREDICTION), Reason.UNKNOWN_CONTENT_TYPE),
        (of_kind("application/cloudevents+protobuf", PREDICTION), Reason.UNKNOWN_CONTENT_TYPE),
        (of_kind("application/cloudevents-batch+avro", PREDICTION), Reason.UNKNOWN_CONTENT_TYPE),
        (Record(PREDICTION, [("content-type", b"\xff")]), Reason.UNKNOWN_CONTENT_TYPE),
        (Record(PREDICTION, [("content-type", None)]), "PredictionRows"),
        (Record(None), Reason.TOMBSTONE),
        (of_kind(STRUCTURED, None), Reason.TOMBSTONE),
        (of_kind(ARROW, None), Reason.TOMBSTONE),
        (of_kind(ARROW, PREDICTION), Reason.NOT_ARROW),
        (of_kind(ARROW, b"\0" * (RECORD_BYTES_MAX + 1)), Reason.TOO_LARGE),
        (of_kind(BATCH, b"[" + PREDICTION), Reason.NOT_JSON),
        (of_kind(BATCH, b""), Reason.NOT_JSON),
        (of_kind(BATCH, b" " * (RECORD_BYTES_MAX + 1)), Reason.TOO_LARGE),
        (of_kind(BATCH, PREDICTION), "PredictionRows"),
    ],
)
def test_a_record_is_what_its_content_type_says(record, fate):
    assert only(record) == fate


@pytest.mark.parametrize(
    ("record", "fate"),
    [
        (binary(PREDICTION), "PredictionRows"),
        (binary(LABEL), "LabelRows"),
        (binary(PREDICTION, content_type=None), "PredictionRows"),
        (binary(PREDICTION, content_type=b"application/vnd.me+json; charset=utf-8"), "PredictionRows"),
        (binary(PREDICTION, content_type=b"application/protobuf"), Reason.UNKNOWN_CONTENT_TYPE),
        (binary(PREDICTION, ce_traceparent=b"00-1-2-01", other=b"\xff"), "PredictionRows"),
        (binary(PREDICTION, ce_id=None), Reason.MISSING_FIELD),
        (binary(PREDICTION, ce_specversion=None), Reason.NOT_CLOUDEVENTS),
        (binary(PREDICTION, ce_specversion=b"0.3"), Reason.UNKNOWN_SPECVERSION),
        (binary(PREDICTION, ce_type=b"io.other"), Reason.UNKNOWN_TYPE),
        (binary(PREDICTION, ce_time=b"2018-W44-2"), Reason.BAD_TIME),
        (binary(PREDICTION, ce_time=b"20181030T180000Z"), Reason.BAD_TIME),
        (binary(PREDICTION, ce_source=b"\xff"), Reason.NOT_CLOUDEVENTS),
        (binary(PREDICTION, **{"ce_caf\udce9": b"1"}), Reason.NOT_CLOUDEVENTS),
        (binary(PREDICTION, **{"caf\udce9": b"1"}), "PredictionRows"),
        (binary(PREDICTION, ce_source=b"x" * EVENT_BYTES_MAX), Reason.TOO_LARGE),
    ],
)
def test_binary_mode_is_structured_json_in_other_clothes(record, fate):
    assert only(record) == fate


@pytest.mark.parametrize("pairs", [None, Pairs(MODELS)])
@pytest.mark.parametrize("name", ["ce_id", "CE_type", "ce_time", "ce_subject", "content-type", "other"])
def test_a_header_that_is_null_is_none(name, pairs):
    for event in (PREDICTION, LABEL):
        record, lacking = binary(event), binary(event)
        lacking.headers = [header for header in record.headers if header[0] != name.lower()]
        record.headers = [*lacking.headers, (name, None)]
        assert decoded(unwrapped(record, pairs=pairs)) == decoded(unwrapped(lacking, pairs=pairs))
        record.headers = [*binary(event).headers, (name, None)]
        assert decoded(unwrapped(record, pairs=pairs)) == decoded(unwrapped(binary(event), pairs=pairs))


@pytest.mark.parametrize(
    ("data", "fate"),
    [
        (b"", Reason.TOMBSTONE),
        (None, Reason.TOMBSTONE),
        (b"{", Reason.NOT_JSON),
        (b"\xff", Reason.NOT_JSON),
        (b"[" * 2_000 + b"]" * 2_000, Reason.TOO_DEEP),
        (b" " * (EVENT_BYTES_MAX + 1), Reason.TOO_LARGE),
        (b"[]", Reason.WRONG_TYPE),
        (b'{"model":"loans"},"type":"io.guardian.label.v1","x":{}', Reason.NOT_JSON),
        (msgspec.json.encode(json.loads(PREDICTION)["data"]) + b',"id":"another"', Reason.NOT_JSON),
    ],
)
def test_data_of_binary_mode_cannot_pass_for_more_than_data(data, fate):
    record = binary(PREDICTION)
    record.value = data
    assert only(record) == fate


@pytest.mark.parametrize("write", [to_binary_event, to_structured_event])
def test_what_the_library_writes_is_read(write):
    said = json.loads(PREDICTION)
    data, at = said.pop("data"), datetime.fromisoformat(said["time"])
    message = write(CloudEvent(said | {"time": at}, data))
    (rows,) = unwrapped(Record(message.value, list(message.headers.items()))).parts[0].decode(MODELS)
    (same,) = JsonPart(0, [PREDICTION]).decode(MODELS)
    assert isinstance(rows, PredictionRows)
    assert isinstance(same, PredictionRows)
    assert (rows.ids.tolist(), rows.times.tolist()) == (same.ids.tolist(), same.times.tolist())
    assert rows.columns == same.columns


def test_a_record_of_many_events_gives_each_its_row():
    batch = of_kind(BATCH, b"[" + PREDICTION + b"," + LABEL + b", 5]")
    found = unwrapped(
        Record(PREDICTION), batch, arrow("a", "b"), of_kind(BATCH, b" [] "), Record(None), arrow("c"), Record(LABEL)
    )
    assert [type(part) for part in found.parts] == [JsonPart, ArrowPart, JsonPart, ArrowPart, JsonPart]
    assert found.offsets.tolist() == [100, 102, 102, 102, 104, 104, 108, 110, 112]
    assert found.rows.tolist() == [0, 0, 1, 2, 0, 1, 0, 0, 0]
    assert found.times.tolist() == [AT, AT + 1, AT + 1, AT + 1, AT + 2, AT + 2, AT + 4, AT + 5, AT + 6]
    fates = ["PredictionRows", "PredictionRows", "LabelRows", Reason.NOT_CLOUDEVENTS, "PredictionRows", "PredictionRows"]
    assert list(dict(sorted(decoded(found).items())).values()) == [*fates, Reason.TOMBSTONE, "PredictionRows", "LabelRows"]


def test_tables_of_one_schema_become_one_part():
    found = unwrapped(arrow("a", "b"), arrow("c"), arrow("d", model="rents"), arrow("e"))
    assert [(part.first, len(part)) for part in found.parts] == [(0, 3), (3, 1), (4, 1)]
    assert found.rows.tolist() == [0, 1, 0, 0, 0]


def test_a_table_that_lacks_a_column_is_one_dead_letter():
    columns = PredictionColumns(model="", ids=["a"] * 50, times=[AT] * 50, predictions=[1] * 50, features={})
    found = unwrapped(of_kind(ARROW, arrow_predictions(columns).replace(b"time", b"tame")), Record(LABEL))
    assert decoded(found) == {0: Reason.MISSING_FIELD, 1: "LabelRows"}


def inference(**said: object) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "i", "source": "/s", "time": "2018-10-30T18:00:00Z"} | said).encode()


@pytest.mark.parametrize("space", [b'"type": "', b'"type":"'])
def test_requests_of_model_servers_go_to_the_pairs_and_nothing_else_does(space):
    """A request alone makes no event; among guardian's own events it is found wherever it says its type."""
    request = inference(data={"inputs": []}, type="org.kubeflow.serving.inference.request").replace(b'"type": "', space)
    own = PREDICTION.replace(b'"type":"', space)
    for events in ([own, request, own], [request, own], [own, own]):
        pairs = Pairs(MODELS)
        found = unwrapped(*map(Record, events), pairs=pairs)
        assert len(found.offsets) == sum(event is own for event in events)
        assert len(pairs) == sum(event is request for event in events)
        traced = unwrapped(*(Record(event, [("traceparent", b"1")]) for event in events), pairs=Pairs(MODELS))
        assert traced.offsets.tolist() == found.offsets.tolist()
    assert decoded(unwrapped(Record(request)))[0] == Reason.UNKNOWN_TYPE


def test_what_the_pairs_cannot_read_is_a_dead_letter_at_its_place():
    found = unwrapped(Record(PREDICTION), Record(inference(type=INFERENCE_TYPE, data=5)), Record(LABEL), pairs=Pairs(MODELS))
    fates = decoded(found)
    assert (fates[0], fates[2]) == ("PredictionRows", "LabelRows")
    assert fates[1] in set(Reason)
    assert found.offsets.tolist() == [100, 102, 104]


def test_tables_and_batches_are_not_searched_for_requests():
    pairs = Pairs(MODELS)
    found = unwrapped(arrow("org.kubeflow.serving.inference.request", "b"), pairs=pairs)
    assert [type(part) for part in found.parts] == [ArrowPart]
    found = unwrapped(of_kind(BATCH, b"[" + PREDICTION.replace(b"loan-1", INFERENCE_TYPE.encode()) + b"]"), pairs=pairs)
    assert decoded(found) == {0: "PredictionRows"}


CHOICES = [
    lambda: Record(PREDICTION),
    lambda: Record(LABEL, [("content-type", STRUCTURED.encode())]),
    lambda: Record(None),
    lambda: binary(LABEL),
    lambda: binary(PREDICTION, ce_source=b"\xff"),
    lambda: of_kind(BATCH, b"[" + LABEL + b"," + PREDICTION + b"]"),
    lambda: of_kind(BATCH, b"[]"),
    lambda: arrow("a", "b", "c"),
    lambda: arrow("a"),
    lambda: of_kind(ARROW, b"x"),
]


@given(st.lists(st.sampled_from(CHOICES), max_size=12), st.data())
def test_how_records_are_delivered_does_not_matter(choices, data):
    records = numbered([choice() for choice in choices])
    whole = unwrap(records, None)
    cut = data.draw(st.integers(0, len(records)))
    pieces = [unwrap(records[:cut], None), unwrap(records[cut:], None)]
    for name in ("offsets", "rows", "times"):
        assert getattr(whole, name).tolist() == [x for piece in pieces for x in getattr(piece, name).tolist()]
    fates = [fate for piece in pieces for _, fate in sorted(decoded(piece).items())]
    assert [fate for _, fate in sorted(decoded(whole).items())] == fates
