"""Arrow tables are the same events as JSON: equal rows and equal dead letters, whatever the columns' types and layout."""

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from guardian.events.arrow import decode_arrow, written_out
from guardian.events.arrow_encode import LabelColumns, PredictionColumns, arrow_labels, arrow_predictions
from guardian.events.arrow_stream import joined, read_stream
from guardian.events.arrow_table import FEATURES
from guardian.events.dead_letter import DeadLetter
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.events.envelope import ID_CHARS_MAX, LABEL_TYPE, PREDICTION_TYPE, TIME_MS_MAX
from guardian.events.parts import ArrowPart, JsonPart
from guardian.events.placement import Placement
from guardian.events.reasons import Reason
from guardian.events.rows import Categories, LabelRows, PredictionRows
from guardian.events.unwrap import ARROW
from guardian.pipeline.coded import code_batch
from guardian.pipeline.epochs import ALWAYS, Epoch, Timeline
from guardian.pipeline.reference import Table, build
from guardian.testing.example_events import MODELS
from guardian.units import format_time

AT = 1_540_922_400_000

# Columns: a type, and values of it that JSON may or may not have in the place.
NUMBERS = {
    pa.float64(): [0.0, -1.5, 1e300, float("nan"), float("inf")],
    pa.float32(): [0.5, 2.0**100],
    pa.int64(): [0, 1, -(2**63), 2**53 + 1],
    pa.uint64(): [3, 2**64 - 1],
    pa.int8(): [1, -5],
}
TEXTS = {
    pa.string(): ["car", "", "é\U0001f600", "1"],
    pa.large_string(): ["car", "boat"],
    pa.string_view(): ["car", "a text of more than twelve bytes"],
    pa.dictionary(pa.int8(), pa.string()): ["car", "boat", "1"],
    pa.dictionary(pa.int32(), pa.large_string()): ["car"],
}
ANY = {
    **NUMBERS,
    **TEXTS,
    pa.bool_(): [True, False],
    pa.null(): [],
    pa.dictionary(pa.int32(), pa.int64()): [1, 2],
    pa.dictionary(pa.int32(), pa.float64()): [1.0, float("nan")],
}
IDS = {
    pa.string(): ["a", "b", "", "x" * ID_CHARS_MAX, "x" * (ID_CHARS_MAX + 1), "é" * ID_CHARS_MAX],
    pa.large_string(): ["a", "c"],
    pa.string_view(): ["a", "another id of more than twelve bytes"],
    pa.dictionary(pa.int32(), pa.string()): ["a", "d"],
    pa.int64(): [1],
}
TIMES = {
    pa.timestamp("ms", "UTC"): [AT, 0, TIME_MS_MAX, -1],
    pa.timestamp("s"): [AT // 1000, -5],
    pa.timestamp("us", "Europe/Berlin"): [AT * 1000 + 999, -1],
    pa.timestamp("ns"): [AT * 1_000_000 + 1],
    pa.int64(): [AT, 0, -1],
    pa.string(): [format_time(AT), "2018-10-30T19:00:00+01:00", "yesterday", "1969-12-31T23:59:59Z", "2018-10-30T18:00:00"],
    pa.float64(): [float(AT)],
}
OUTCOMES = {**ANY, pa.string(): ["1", "0", "b"], pa.int64(): [1, 0], pa.float64(): [1.0, 0.25, float("nan"), 1e30]}
NAMES = {
    "loans": ("salary", "purpose", "sex", "unlisted"),
    "rents": ("rooms", "class", "a b"),
    "kinds": ("salary", "purpose", "sex"),
}


def plain(kind: pa.DataType, value: Any) -> Any:
    """What JSON says of a value of a type."""
    if value is not None and kind in (pa.float32(),):
        return float(np.float32(value))
    return value


@st.composite
def column(draw: st.DrawFn, kinds: dict[pa.DataType, list[Any]], n: int, usual: st.SearchStrategy[Any] | None = None):
    """A column, and its values as JSON has them; mostly of the usual, so that most rows are good."""
    kind = draw(st.sampled_from(list(kinds)))
    value = st.none() | st.sampled_from(kinds[kind]) if kinds[kind] else st.none()
    if usual is not None and kinds[kind]:
        good = usual if kind == next(iter(kinds)) else st.just(kinds[kind][0])
        value = good | good | value if draw(st.booleans()) else good
    values = draw(st.lists(value, min_size=n, max_size=n))
    return pa.array(values, kind), [plain(kind, x) for x in values]


def through(batch: pa.RecordBatch) -> Any:
    """A table as it comes out of the log."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    (found,) = read_stream(out.getvalue().to_pybytes())
    return found


def instant(kind: pa.DataType, value: Any) -> Any:
    if value is None or not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind)):
        return value
    unit = kind.unit if pa.types.is_timestamp(kind) else "ms"
    return format_time({"s": value * 1000, "ms": value, "us": value // 1000, "ns": value // 1_000_000}[unit])


Said = dict[str, list[Any]]
ID = st.text("abc", min_size=1, max_size=3)


@st.composite
def outcomes(draw: st.DrawFn, n: int) -> tuple[dict[str, Any], Said]:
    """Columns of predictions, of labels, or of both; and the types of the events, which may be left to the reader to tell."""
    arrays: dict[str, Any] = {}
    said: Said = {}
    names = draw(st.sampled_from([("prediction",), ("label",), ("prediction", "label")]))
    for name in names:
        arrays[name], said[name] = draw(column(OUTCOMES, n, st.sampled_from([1.0, 0.0])))
    said["kind"] = [PREDICTION_TYPE if names[0] == "prediction" else LABEL_TYPE] * n
    if len(names) == 2:
        pairs = zip(said["prediction"], said["label"], strict=True)
        said["kind"] = [
            LABEL_TYPE if prediction is None and label is not None else PREDICTION_TYPE for prediction, label in pairs
        ]
    if draw(st.booleans()):
        types = st.sampled_from([PREDICTION_TYPE, LABEL_TYPE, PREDICTION_TYPE, LABEL_TYPE, "io.guardian.other.v1", None])
        said["kind"] = draw(st.lists(types, min_size=n, max_size=n))
        arrays["type"] = pa.array(said["kind"], pa.string())
    return arrays, said


@st.composite
def envelopes(draw: st.DrawFn, n: int, model: str) -> tuple[dict[str, Any], Said, dict[str, str]]:
    """Every column but the inputs."""
    arrays, said = draw(outcomes(n))
    arrays["id"], said["id"] = draw(column(IDS, n, ID))
    arrays["time"], raw = draw(column(TIMES, n, st.integers(0, TIME_MS_MAX)))
    said["time"] = [instant(arrays["time"].type, x) for x in raw]
    for name, choices, usual in (
        ("version", TEXTS | {pa.string(): ["1", "*", "", "x" * 129, "a\0"], pa.int64(): [1]}, st.sampled_from(["1", "2", None])),
        ("score", NUMBERS | {pa.string(): ["1"]}, st.sampled_from([0.0, 0.5, 1.0, None])),
        ("prediction_id", IDS, ID),
    ):
        if draw(st.booleans()):
            arrays[name], said[name] = draw(column(choices, n, usual))
    if draw(st.booleans()):
        return arrays, said | {"model": [model] * n}, {"model": model}
    models = st.sampled_from([*NAMES, *[model] * 6, "nobody", None])
    arrays["model"], said["model"] = draw(column(TEXTS | {pa.int64(): [1]}, n, models))
    return arrays, said, {}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Any, list[bytes]]:
    """A table, and the same events as JSON."""
    n, model = draw(st.integers(1, 12)), draw(st.sampled_from(sorted(NAMES)))
    arrays, said, metadata = draw(envelopes(n, model))
    inputs = {name: draw(column(ANY, n)) for name in NAMES[model] if draw(st.booleans())}
    attributes = {name: draw(column(ANY, n)) for name in ("sex", "purpose") if draw(st.booleans())}
    if draw(st.booleans()):
        arrays[FEATURES] = struct(inputs, n)
    else:
        arrays |= {name: array for name, (array, _) in inputs.items()}
    if attributes:
        arrays["attributes"] = struct(attributes, n)
    fields = [pa.field(name, array.type) for name, array in arrays.items()]
    batch = through(pa.record_batch(list(arrays.values()), schema=pa.schema(fields, metadata=metadata)))
    parts = (said, values_of(inputs), values_of(attributes))
    rows = [[{name: values[row] for name, values in part.items()} for row in range(n)] for part in parts]
    return batch, [as_json(*row) for row in zip(*rows, strict=True)]


def values_of(columns: dict[str, tuple[Any, list[Any]]]) -> Said:
    return {name: values for name, (_, values) in columns.items()}


def struct(columns: dict[str, tuple[Any, list[Any]]], n: int) -> Any:
    if not columns:
        return pa.array([{}] * n, pa.struct([]))
    return pa.StructArray.from_arrays([array for array, _ in columns.values()], names=list(columns))


def some(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def as_json(said: dict[str, Any], features: dict[str, Any], attributes: dict[str, Any]) -> bytes:
    """One event, said by hand: the model's own columns only."""
    data = {name: said.get(name) for name in ("model", "prediction", "score", "prediction_id", "label")}
    file = MODELS.get(said["model"]) if isinstance(said["model"], str) else None
    if said["kind"] != LABEL_TYPE:
        columns, protected = (file.spec.column_names, file.spec.protected) if file else ((), ())
        data["version"] = said.get("version")
        data["features"] = some({name: value for name, value in features.items() if name in columns})
        data["attributes"] = some({name: value for name, value in attributes.items() if name in protected})
    envelope = {"specversion": "1.0", "type": said["kind"], "id": said["id"], "source": "/s", "time": said["time"]}
    return json.dumps(some(envelope) | {"data": some(data)}).encode()


def timeline(name: str) -> Timeline:
    file, n = MODELS[name], 40
    columns: dict[str, Any] = {
        column: np.linspace(0, 5, n) if column in file.spec.numeric else np.array(["car", "1", True, "boat"] * 10, object)
        for column in file.spec.column_names
    }
    outcomes = np.array(["1", "0"] * 20, object) if file.spec.task != "regression" else np.linspace(-1, 1, n)
    return Timeline((Epoch(ALWAYS, file, build(file, Table(columns, outcomes, np.linspace(0, 1, n), outcomes)), {}),))


TIMELINES = {name: timeline(name) for name in MODELS}
KNOWN: dict[str, tuple[str, ...]] = dict.fromkeys(MODELS, ())


def flat(value: Any) -> Any:
    """Anything coded, comparable; parameters are the same object in both."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [flat(item) for item in value]
    if hasattr(value, "cells") or hasattr(value, "positions") or hasattr(value, "refused") or hasattr(value, "blocks"):
        return {name: flat(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def named(batch: Any) -> Any:
    """A coded batch with versions by name: their order says only how events were read."""
    whole = flat(batch)
    whole["predictions"]["versions"] = [batch.versions[i] for i in batch.predictions.versions.tolist()]
    return whole | {"versions": set(batch.versions)}


def letter(found: DeadLetter) -> tuple[Any, ...]:
    return found.offset, found.reason, found.detail, found.place, found.model


@settings(max_examples=400, deadline=None)
@given(tables(), st.sampled_from([None, Placement("murmur2", 2, 1)]))
def test_a_table_is_what_its_rows_are_in_json(table, placement):
    batch, events = table
    found, letters = code_batch([ArrowPart(0, batch)], TIMELINES, KNOWN, placement)
    expected, others = code_batch([JsonPart(0, events)], TIMELINES, KNOWN, placement)
    assert list(map(letter, letters)) == list(map(letter, others))
    assert {name: named(one) for name, one in found.items()} == {name: named(one) for name, one in expected.items()}


@settings(max_examples=150, deadline=None)
@given(tables())
def test_what_is_marked_is_what_the_decoder_refuses(table):
    batch, _ = table
    for found in decode_arrow(batch, 5, MODELS):
        if isinstance(found, PredictionRows):
            assert isinstance(found.predictions, Categories | np.ndarray)  # Of rows decoded as JSON it is a list.
        elif isinstance(found, LabelRows):
            assert isinstance(found.labels, Categories | np.ndarray)
        else:
            assert 5 <= found.offset < 5 + batch.num_rows


def table(**columns: Any) -> pa.RecordBatch:
    base = {"id": ["a", "b"], "time": [AT, AT], "prediction": [1, 0], "salary": [1.0, 2.0]}
    return pa.record_batch(base | columns).replace_schema_metadata({"model": "loans"})


@pytest.mark.parametrize(
    ("columns", "reason", "place"),
    [
        ({"time": [AT, TIME_MS_MAX + 1]}, Reason.TIME_OUT_OF_RANGE, "$.time"),
        ({"time": pa.array([AT, AT * 1_000_000])}, Reason.TIME_OUT_OF_RANGE, "$.time"),
        ({"time": pa.array([AT // 1000, 2**62], pa.timestamp("s"))}, Reason.TIME_OUT_OF_RANGE, "$.time"),
        ({"time": pa.array([None, None], pa.timestamp("s"))}, Reason.MISSING_FIELD, "$.time"),
        ({"time": pa.array([1, 2], pa.date32())}, Reason.WRONG_TYPE, "$.time"),
        ({"salary": pa.array([b"a", None], pa.binary())}, Reason.WRONG_TYPE, "$.data.features.salary"),
        ({"purpose": pa.array([AT, None], pa.timestamp("ms"))}, Reason.WRONG_TYPE, "$.data.features.purpose"),
        ({"purpose": [["a"], None]}, Reason.WRONG_TYPE, "$.data.features.purpose"),
        ({"id": pa.array([b"a", b"b"])}, Reason.WRONG_TYPE, "$.id"),
        ({"id": ["a", "é" * (ID_CHARS_MAX + 1)]}, Reason.BAD_ID, "$.id"),
        ({"score": [0.5, 1.0000001]}, Reason.SCORE_OUT_OF_RANGE, "$.data.score"),
        ({"salary": [1.0, math.nan]}, Reason.NOT_FINITE, "$.data.features.salary"),
        ({"model": ["nobody", "nobody"]}, Reason.UNKNOWN_MODEL, "$.data.model"),
    ],
)
def test_a_bad_row_has_the_reason_and_place_of_json(columns, reason, place):
    found = list(decode_arrow(table(**columns), 0, MODELS))
    letters = [item for item in found if isinstance(item, DeadLetter)]
    assert {(item.reason, item.place) for item in letters} == {(reason, place)}
    counted = [position for rows in found if isinstance(rows, PredictionRows) for position in rows.positions.tolist()]
    assert sorted([item.offset for item in letters] + counted) == [0, 1]


def test_decimals_are_numbers_and_their_dictionaries_too():
    decimals = pa.array([Decimal("1"), Decimal("2")])
    (rows,) = decode_arrow(table(salary=decimals, purpose=decimals, sex=decimals.dictionary_encode()), 0, MODELS)
    assert isinstance(rows, PredictionRows)
    assert rows.columns["salary"].tolist() == [1.0, 2.0]
    assert rows.columns["purpose"].to_list() == [1.0, 2.0]
    assert rows.columns["sex"].to_list() == [1.0, 2.0]


def test_a_dictionary_may_hold_null_what_no_row_has_and_more_than_there_are_rows():
    indexes = pa.array([0, 1], pa.int8())
    with_null = pa.DictionaryArray.from_arrays(indexes, pa.array([None, "car", "x"]))
    large = pa.DictionaryArray.from_arrays(indexes, pa.array(["car", *map(str, range(100))]))
    (rows,) = decode_arrow(table(purpose=with_null, sex=large), 0, MODELS)
    assert isinstance(rows, PredictionRows)
    assert rows.columns["purpose"].to_list() == [None, "car"]
    assert rows.columns["sex"].to_list() == ["car", "0"]
    (letter_, _) = sorted(decode_arrow(table(prediction=with_null), 0, MODELS), key=lambda x: isinstance(x, PredictionRows))
    assert isinstance(letter_, DeadLetter)
    assert (letter_.reason, letter_.place) == (Reason.MISSING_FIELD, "$.data.prediction")


def test_versions_of_no_row_are_not_named():
    versions = pa.DictionaryArray.from_arrays(pa.array([2, 2]), pa.array(["*", "7", "8"]))
    batches, letters = code_batch([ArrowPart(0, table(version=versions))], TIMELINES, KNOWN)
    assert letters == []
    assert batches["loans"].versions == ("8",)


def test_parts_of_both_forms_are_one_step():
    events = [encode_prediction(key, AT, PredictionData(model="loans", features={"salary": 1.0}, prediction=1)) for key in "ab"]
    parts = [
        JsonPart(0, events),
        ArrowPart(2, table(id=["c", "d"])),
        JsonPart(4, [b"{"]),
        ArrowPart(5, table(prediction=["x", "0"])),
    ]
    batches, letters = code_batch(parts, TIMELINES, KNOWN)
    assert batches["loans"].predictions.positions.tolist() == [0, 1, 2, 3, 6]
    assert [(found.offset, found.reason) for found in letters] == [(4, Reason.NOT_JSON), (5, Reason.NOT_A_CLASS)]
    said = json.loads(letters[1].sample)
    assert (said["id"], said["time"], said["data"]) == (
        "a", format_time(AT), {"model": "loans", "prediction": "x", "features": {"salary": 1.0}},
    )  # fmt: skip
    assert letters[1].sample == written_out(table(prediction=["x", "0"]), 0, MODELS)


def test_more_bad_rows_than_a_chunk_keep_their_positions():
    n = 1_201
    ids = ["" if i % 2 else f"a{i}" for i in range(n)]
    batch = table_of(ids)
    found = list(decode_arrow(batch, 10, MODELS))
    letters = [item.offset for item in found if isinstance(item, DeadLetter)]
    assert letters == [10 + i for i in range(n) if i % 2]
    (rows,) = (item for item in found if isinstance(item, PredictionRows))
    assert rows.positions.tolist() == [10 + i for i in range(n) if not i % 2]


def table_of(ids: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"id": ids, "time": [AT] * len(ids), "prediction": [1] * len(ids)}).replace_schema_metadata(
        {"model": "loans"}
    )


ROWS = st.lists(
    st.tuples(st.text("abc", min_size=1), st.integers(0, TIME_MS_MAX), st.sampled_from([1, 0])), min_size=1, max_size=20
)


@given(ROWS)
def test_what_is_written_is_read(rows):
    ids, times, said = map(list, zip(*rows, strict=True))
    salaries = [float(i) for i in range(len(ids))]
    columns = PredictionColumns(
        model="loans",
        ids=ids,
        times=times,
        predictions=said,
        features={"salary": salaries, "purpose": ["car"] * len(ids)},
        scores=[0.5] * len(ids),
        versions=["1"] * len(ids),
        attributes={"sex": [None] * len(ids)},
    )
    events = []
    for (key, at, outcome), salary in zip(rows, salaries, strict=True):
        features = {"salary": salary, "purpose": "car"}
        data = PredictionData(model="loans", version="1", features=features, prediction=outcome, score=0.5)
        events.append(encode_prediction(key, at, data))
    (batch,) = read_stream(arrow_predictions(columns))
    assert_same(batch, events)
    (batch,) = read_stream(arrow_labels(LabelColumns(model="loans", prediction_ids=ids, times=times, labels=said)))
    assert_same(batch, [encode_label(at, LabelData(prediction_id=key, model="loans", label=label)) for key, at, label in rows])


def test_predictions_without_features_are_written_too():
    columns = PredictionColumns(model="loans", ids=["a"], times=[AT], predictions=[1], features={})
    (batch,) = read_stream(arrow_predictions(columns))
    assert_same(batch, [encode_prediction("a", AT, PredictionData(model="loans", features={}, prediction=1))])


def assert_same(batch: Any, events: list[bytes]) -> None:
    found, letters = code_batch([ArrowPart(0, batch)], TIMELINES, KNOWN)
    expected, others = code_batch([JsonPart(0, events)], TIMELINES, KNOWN)
    assert list(map(letter, letters)) == list(map(letter, others))
    assert {name: named(one) for name, one in found.items()} == {name: named(one) for name, one in expected.items()}


def test_joined_tables_are_their_rows():
    tables_ = [table(purpose=pa.array(values).dictionary_encode()) for values in (["a", "car"], ["car", None], ["b", "c"])]
    (whole,) = joined(tables_)
    (rows,) = decode_arrow(whole, 0, MODELS)
    assert isinstance(rows, PredictionRows)
    assert rows.columns["purpose"].to_list() == ["a", "car", "car", None, "b", "c"]


def test_the_manual_shows_how_a_frame_is_sent():
    section = (Path(__file__).parents[2] / "docs/events.md").read_text().split("\n### Arrow tables\n")[1]
    program = section.split("```python\n")[1].split("```")[0]
    times = pd.date_range("2018-10-30", periods=4, tz="Europe/Berlin")
    frame = pd.DataFrame({"id": list("abcd"), "time": times, "model": "loans", "prediction": [1, 0, 1, 1]})
    frame = frame.assign(salary=[1.5, None, 3.0, 4.0], purpose=pd.Categorical(["car", "boat", None, "car"]), note="unread")
    sent: list[tuple[int, bytes]] = []

    class Producer:
        def send(self, topic, value, *, partition, headers):
            assert (topic, headers) == ("guardian.events", [("content-type", ARROW.encode())])
            sent.append((partition, value))

    exec(program, {"frame": frame, "partitions": 3, "producer": Producer()})  # noqa: S102
    seen = {}
    for number, value in sent:
        batches, letters = code_batch([ArrowPart(0, *read_stream(value))], TIMELINES, KNOWN, Placement("murmur2", 3, number))
        assert letters == []
        seen |= dict(zip(batches["loans"].predictions.ids.tolist(), batches["loans"].times.tolist(), strict=True))
    assert seen == {xxh3_64_intdigest(key.encode()): int(at.timestamp() * 1000) for key, at in zip("abcd", times, strict=True)}
