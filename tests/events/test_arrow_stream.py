"""Streams are nobody's promise: broken, cut, compressed and swollen ones are told, and nothing else ever comes of one."""

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.events.arrow import decode_arrow
from guardian.events.arrow_encode import PredictionColumns, arrow_predictions
from guardian.events.arrow_stream import joined, read_stream
from guardian.events.arrow_table import misfit
from guardian.events.dead_letter import DeadLetter, Problem
from guardian.events.envelope import RECORD_BYTES_MAX, RECORD_EVENTS_MAX
from guardian.events.reasons import Reason
from guardian.testing.example_events import MODELS

GOOD = arrow_predictions(
    PredictionColumns(
        model="loans",
        ids=["a", "b"],
        times=[0, 1],
        predictions=[1, 0],
        features={"salary": [1.0, None], "purpose": ["car", None]},
        versions=["1", "1"],
    )
)


def stream(*batches: pa.RecordBatch, **options: object) -> bytes:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(out.getvalue().to_pybytes())


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("column", [pa.array(["a"] * 50), pa.array(["a" * 50]).dictionary_encode(), pa.array(range(100))])
def test_compressed_buffers_are_refused_before_they_are_read(codec, column):
    problem = read_stream(stream(pa.record_batch({"id": column}), compression=codec))
    assert isinstance(problem, Problem)
    assert (problem.reason, "compressed" in problem.detail) == (Reason.NOT_ARROW, True)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "broken"),
        (b"{}", "broken"),
        (GOOD[: len(GOOD) // 2], "broken"),
        (stream(pa.record_batch([pa.array([1]), pa.array([2])], names=["a", "a"])), "a is there twice"),
        (
            stream(pa.record_batch({"features": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])})),
            "features.x is there twice",
        ),
    ],
)
def test_what_is_no_stream_of_named_columns_says_why(data, word):
    problem = read_stream(data)
    assert isinstance(problem, Problem)
    assert (problem.reason, problem.place) == (Reason.NOT_ARROW, "$")
    assert word in problem.detail


def test_too_many_rows_and_too_many_bytes():
    for data in (stream(pa.record_batch({"id": pa.nulls(RECORD_EVENTS_MAX + 1)})), b"\0" * (RECORD_BYTES_MAX + 1)):
        problem = read_stream(data)
        assert isinstance(problem, Problem)
        assert problem.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("in_struct", [False, True])
@pytest.mark.parametrize("kind", ["dictionary", "view", "dictionary of views"])
def test_one_long_text_shared_by_many_rows_is_too_large(kind, in_struct):
    text, n = "x" * 100_000, 1_000
    if kind == "view":
        one = pa.array([text], pa.string_view())  # Views of one text: rows point to the same bytes.
        layout = pa.py_buffer(bytes(one.buffers()[1])[:16] * n)
        column = pa.Array.from_buffers(pa.string_view(), n, [None, layout, *one.buffers()[2:]])
    else:
        values = pa.array([text], pa.string_view() if "views" in kind else pa.string())
        column = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int8()), values)
    if in_struct:
        column = pa.StructArray.from_arrays([column], names=["purpose"])
    problem = read_stream(stream(pa.record_batch({"features": column})))
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.TOO_LARGE


def test_views_come_out_as_texts_everywhere():
    views = pa.array(["a", None, "a text of more than twelve bytes"], pa.string_view())
    encoded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), views)
    inner = pa.StructArray.from_arrays([views, encoded], names=["x", "y"])
    (batch,) = read_stream(stream(pa.record_batch({"v": views, "d": encoded, "s": inner})))
    assert batch.schema.types == [
        pa.large_string(),
        pa.dictionary(pa.int64(), pa.large_string()),
        pa.struct([("x", pa.large_string()), ("y", pa.dictionary(pa.int64(), pa.large_string()))]),
    ]
    assert batch.to_pydict() == {"v": views.to_pylist(), "d": views.to_pylist(), "s": inner.to_pylist()}


def test_empty_batches_are_no_events():
    batch = pa.record_batch({"id": pa.array([], pa.string())})
    assert read_stream(stream(batch, batch)) == []
    assert len(read_stream(stream(batch, pa.record_batch({"id": ["a"]}), batch))) == 1


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, len(GOOD)), st.binary(max_size=8), st.integers(0, 2**32))
def test_whatever_is_done_to_a_stream_it_is_read_or_refused(start, length, middle, seed):
    """Flipped, cut, overwritten: what still reads also decodes, every row once."""
    data = bytearray(GOOD)
    if length < 20:
        data[start : start + length] = middle
    else:
        rng = random.Random(seed)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    found = read_stream(bytes(data))
    if isinstance(found, Problem):
        assert found.reason in (Reason.NOT_ARROW, Reason.TOO_LARGE)
        return
    for batch in joined(found) if found else []:
        if misfit(batch.schema) is None:
            items = list(decode_arrow(batch, 0, MODELS))
            seen = [p for item in items for p in ([item.offset] if isinstance(item, DeadLetter) else item.positions.tolist())]
            assert sorted(seen) == list(range(batch.num_rows))


@pytest.mark.parametrize(
    ("columns", "metadata", "reason", "place"),
    [
        (("time", "prediction"), {"model": "m"}, Reason.MISSING_FIELD, "$.id"),
        (("id", "prediction"), {"model": "m"}, Reason.MISSING_FIELD, "$.time"),
        (("id", "time", "prediction"), {}, Reason.MISSING_FIELD, "$.data.model"),
        (("id", "time"), {"model": "m"}, Reason.MISSING_FIELD, "$.data"),
        (("id", "time", "label", "features"), {"model": "m"}, Reason.WRONG_TYPE, "$.data.features"),
        (("id", "time", "label", "attributes", "model"), {}, Reason.WRONG_TYPE, "$.data.attributes"),
    ],
)
def test_a_table_that_lacks_what_every_event_needs_is_a_misfit(columns, metadata, reason, place):
    problem = misfit(pa.schema([(name, pa.int64()) for name in columns], metadata=metadata))
    assert problem is not None
    assert (problem.reason, problem.place) == (reason, place)
