"""Decoding: every offset once, neighbours untouched, chunks invisible, and the columns say what the events said."""

import json
import math

import msgspec
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.errors import UsageError
from guardian.events import codec
from guardian.events.codec import decode
from guardian.events.dead_letter import DeadLetter
from guardian.events.rows import LabelRows, PredictionRows
from guardian.testing.example_events import LABEL, MODELS, PREDICTION, model_file

RENT = PREDICTION.replace(b'"loans"', b'"rents"').replace(
    b'{"salary":1200.5,"purpose":"car"}', b'{"rooms":3,"class":true,"a b":-0.5}'
)
GOOD = (
    PREDICTION,
    LABEL,
    RENT,
    LABEL.replace(b'"loans"', b'"rents"'),
    PREDICTION.replace(b'"loans"', b'"kinds"').replace(b'"prediction":1', b'"prediction":"b"'),
    json.dumps(json.loads(PREDICTION), indent=1).encode(),
    PREDICTION.replace(b".000Z", b"+02:00"),
    PREDICTION.replace(b'"car"', b"null").replace(b"1200.5", b"null").replace(b"0.75", b"null"),
    PREDICTION.replace(b'"source"', b'"traceparent":[{"a":1}],"source"'),
    PREDICTION.replace(b'"score":0.75,', b""),
)

Row = tuple[object, ...]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good event with one stretch cut out, doubled, or replaced by any bytes."""
    event = draw(st.sampled_from(GOOD))
    start = draw(st.integers(0, len(event)))
    end = draw(st.integers(start, min(len(event), start + 40)))
    middle = draw(st.one_of(st.just(b""), st.just(event[start:end] * 2), st.binary(max_size=6)))
    return event[:start] + middle + event[end:]


def plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def rows_of(found: PredictionRows | LabelRows) -> dict[int, Row]:
    """Each row as one value, by offset."""
    if isinstance(found, LabelRows):
        parts = (found.ids, found.event_ids, found.times, found.labels)
    else:
        parts = (found.ids, found.times, found.versions, found.predictions, found.scores, *found.columns.values())
    rows = zip(*(part.tolist() if isinstance(part, np.ndarray) else part for part in parts), strict=True)
    whole = [(type(found), found.model, *map(plain, row)) for row in rows]
    return dict(zip(found.positions.tolist(), whole, strict=True))


def by_offset(events: list[bytes], first_offset: int = 0) -> dict[int, Row | DeadLetter]:
    """Everything that comes out, by offset; fails where an offset comes out twice or rows are out of order."""
    out: dict[int, Row | DeadLetter] = {}
    last: dict[object, int] = {}
    kind: object
    rows: dict[int, Row | DeadLetter]
    for found in decode(events, first_offset, MODELS):
        if isinstance(found, DeadLetter):
            kind, rows = "letter", {found.offset: found}
        else:
            assert 0 < len(found.positions) <= codec.CHUNK_EVENTS
            assert np.all(np.diff(found.positions) > 0)
            kind, rows = (type(found), found.model), dict(rows_of(found))
        assert min(rows) > last.get(kind, -1)
        last[kind] = max(rows)
        assert not out.keys() & rows.keys()
        out |= rows
    return out


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(GOOD), mutated(), st.binary(max_size=20)), max_size=30), st.integers(0, 2**40))
def test_every_offset_comes_out_once_as_it_does_alone(events, first_offset):
    together = by_offset(events, first_offset)
    assert sorted(together) == list(range(first_offset, first_offset + len(events)))
    alone: dict[int, Row | DeadLetter] = {}
    for offset, event in enumerate(events, first_offset):
        alone |= by_offset([event], offset)
    assert together == alone


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(GOOD), mutated()), max_size=20), st.integers(1, 7))
def test_chunks_do_not_show(events, size):
    whole = by_offset(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "CHUNK_EVENTS", size)
        assert by_offset(events) == whole


@pytest.mark.parametrize(
    "attack",
    [
        [PREDICTION + b"," + PREDICTION, PREDICTION],
        [PREDICTION + b"," + PREDICTION, PREDICTION[:60], PREDICTION[60:]],
        [PREDICTION + b"\n" + PREDICTION, PREDICTION[:60], PREDICTION[60:]],
        [PREDICTION + b"],[" + PREDICTION, b"", PREDICTION],
        [PREDICTION[:-1] + b',"x":"', b'"}', PREDICTION + b"," + PREDICTION],
        [b"[" + PREDICTION, PREDICTION + b"]"],
        [b"", PREDICTION + b"," + PREDICTION],
    ],
)
def test_no_malformed_event_hides_in_its_neighbours(attack):
    events = [LABEL, *attack, LABEL]
    out = by_offset(events)
    for offset, event in enumerate(events):
        try:
            msgspec.json.decode(event)
        except msgspec.DecodeError:
            letter = out[offset]
            assert isinstance(letter, DeadLetter)
            assert (letter.reason, letter.size) == ("not-json", len(event))
        else:
            assert not isinstance(out[offset], DeadLetter)


def test_a_poisoned_log_loses_only_the_poison():
    events = [PREDICTION[:-1] if i % 10 == 3 else GOOD[i % len(GOOD)] for i in range(3_000)]
    out = by_offset(events)
    assert [offset for offset, row in out.items() if isinstance(row, DeadLetter)] == list(range(3, 3_000, 10))
    assert len(out) == 3_000


def test_columns_say_what_the_events_said():
    other = (
        PREDICTION.replace(b"loan-1", b"loan-2")
        .replace(b'{"sex":"f"}', b'{"purpose":"home"}')
        .replace(b'"version":"1",', b"")
        .replace(b"1200.5", b"900")
        .replace(b'"score":0.75,', b"")
        .replace(b'"prediction":1', b'"prediction":"0"')
    )
    (rows,) = decode([PREDICTION, other], 40, MODELS)
    assert isinstance(rows, PredictionRows)
    assert rows.model == "loans"
    assert rows.positions.tolist() == [40, 41]
    assert rows.ids.tolist() == [xxhash.xxh3_64_intdigest(b"loan-1"), xxhash.xxh3_64_intdigest(b"loan-2")]
    assert rows.times.tolist() == [1540922400000] * 2
    assert rows.versions == ["1", None]
    assert rows.predictions == [1, "0"]
    np.testing.assert_array_equal(rows.scores, [0.75, math.nan])
    assert list(rows.columns) == ["salary", "purpose", "sex"]
    np.testing.assert_array_equal(rows.columns["salary"], [1200.5, 900.0])
    assert rows.columns["purpose"] == ["car", "home"]  # An attribute wins over the feature of its name.
    assert rows.columns["sex"] == ["f", None]
    assert {array.dtype for array in (rows.positions, rows.times)} == {np.dtype(np.int64)}
    assert (rows.ids.dtype, rows.scores.dtype) == (np.uint64, np.float64)


def test_a_protected_attribute_is_read_from_the_features_where_attributes_lack_it():
    event = PREDICTION.replace(b'"purpose":"car"', b'"purpose":"car","sex":"m"')
    for attributes in (b',"attributes":{}', b',"attributes":null', b',"attributes":{"sex":null}', b""):
        (rows,) = decode([event.replace(b',"attributes":{"sex":"f"}', attributes)], 0, MODELS)
        assert rows.columns["sex"] == ["m"]


def test_labels_say_what_the_events_said():
    (rows,) = decode([LABEL], 3, MODELS)
    assert isinstance(rows, LabelRows)
    assert (rows.model, rows.labels) == ("loans", [1])
    assert rows.ids.tolist() == [xxhash.xxh3_64_intdigest(b"loan-1")]
    assert rows.event_ids.tolist() == [xxhash.xxh3_64_intdigest(b"loan-1/1")]
    assert rows.times.tolist() == [1543536000000]


def test_types_of_categories_are_kept_apart():
    values = [b"1", b"true", b"1.0", b'"1"', b"false", b"0", b"null", b'"true"', b"12345678901234567890123"]
    (rows,) = decode([PREDICTION.replace(b'"car"', value) for value in values], 0, MODELS)
    assert [(type(value), value) for value in rows.columns["purpose"]] == [
        (type(value), value) for value in map(json.loads, values)
    ]


def test_scores_of_a_regression_are_free():
    (rows,) = decode([RENT.replace(b"0.75", b"-7.5")], 0, MODELS)
    assert rows.scores.tolist() == [-7.5]
    assert rows.predictions == [1.0]
    assert rows.columns["class"] == [True]
    assert rows.columns["a b"].tolist() == [-0.5]


def test_the_model_is_found_wherever_it_stands():
    late = PREDICTION.replace(b'"model":"loans",', b"").replace(b'"prediction":1', b'"prediction":1,"model" : "loans"')
    (rows,) = decode([late.replace(b'"source"', b'"x":"\\"model\\":\\"rents\\"","source"')], 0, MODELS)
    assert rows.model == "loans"


def test_a_column_that_json_cannot_name_bare_is_refused():
    models = {"loans": model_file("loans", features={'a"b': {"type": "numeric"}}, protected=[])}
    with pytest.raises(UsageError, match='a"b'):
        next(decode([PREDICTION], 0, models))


def test_nothing_comes_out_of_nothing():
    assert list(decode([], 0, MODELS)) == []
