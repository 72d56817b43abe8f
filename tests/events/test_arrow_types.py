"""Whatever the types of a table's columns, wherever they stand: its rows come out, or the record is refused; no process ends."""

import json
import subprocess
import sys
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from guardian.events.arrow import decode_arrow, written_out
from guardian.events.arrow_stream import read_stream
from guardian.events.dead_letter import DeadLetter, Problem
from guardian.events.envelope import EVENTS_FREE, ROW_BYTES_MIN
from guardian.events.parts import ArrowPart
from guardian.events.reasons import Reason
from guardian.events.unwrap import ARROW, unwrap
from guardian.testing.example_events import MODELS

Columns = dict[str, pa.Array]


def scalars() -> Columns:
    """Three values of every type that may stand anywhere, the second null."""
    of_one = {
        (pa.bool_(),): True,
        (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()): 1,
        (pa.float16(),): np.float16(1),
        (pa.float32(), pa.float64()): 1.0,
        (pa.decimal32(5, 1), pa.decimal64(5, 1), pa.decimal128(5, 1), pa.decimal256(50, 1)): Decimal(1),
        (pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("us")): 0,
        (pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("ns", "No/Where")): 1,
        (pa.string(), pa.large_string(), pa.string_view()): "a",
        (pa.binary(), pa.large_binary()): b"\xff",
        (pa.null(),): None,
    }
    return {str(kind): pa.array([one, None, one], kind) for kinds, one in of_one.items() for kind in kinds}


def read() -> Columns:
    """Columns of types that can be read."""
    plain = scalars()
    dictionaries = {f"dictionary of {name}": encoded(values) for name, values in plain.items()}
    one = pa.array([{"q": "a"}, None, {"q": "b"}])
    lists = {
        "list": pa.array([[1], None, [2, 3]]),
        "large_list": pa.array([["a"], None, []], pa.large_list(pa.string())),
        "fixed_size_list": pa.array([[1.0], None, [2.0]], pa.list_(pa.float32(), 1)),
        "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int8())),
        "list of lists": pa.array([[[b"a"]], None, [None]]),
        "list of structs": pa.array([[{"a": 1}], None, []]),
    }
    structs = {"struct": one, "struct of nothing": pa.array([{}, None, {}], pa.struct([]))}
    deep = {f"struct of {name}": pa.StructArray.from_arrays([values], ["q"]) for name, values in (dictionaries | lists).items()}
    return plain | dictionaries | lists | structs | deep


def refused() -> Columns:
    """Columns of types that cannot."""
    tags, values = pa.array([0, 0, 0], pa.int8()), pa.array(["a", "b", "c"])
    ends = pa.RunEndEncodedArray.from_arrays([1, 3], ["a", "b"])
    alone = {
        "sparse union": pa.UnionArray.from_sparse(tags, [values]),
        "dense union": pa.UnionArray.from_dense(tags, pa.array([0, 1, 2], pa.int32()), [values]),
        "run_end_encoded": ends,
        "binary_view": pa.array([b"a", None, b"b"], pa.binary_view()),
        "list_view": pa.array([[1], None, []], pa.list_view(pa.int8())),
        "large_list_view": pa.array([[1], None, []], pa.large_list_view(pa.int8())),
        "month_day_nano_interval": pa.array([(1, 2, 3), None, (1, 2, 3)], pa.month_day_nano_interval()),
        "fixed_size_binary": pa.array([b"a", None, b"b"], pa.binary(1)),
        "list of nothing": pa.array([[], None, []], pa.list_(pa.int8(), 0)),
        "list of nulls": pa.array([[None], None, []], pa.list_(pa.null())),
        "list of bools": pa.array([[True], None, []]),
        "list of empty structs": pa.array([[{}], None, []], pa.list_(pa.struct([]))),
        "list of views": pa.array([["a"], None, []], pa.list_(pa.string_view())),
        "list of unions": pa.ListArray.from_arrays([0, 1, 2, 3], pa.UnionArray.from_sparse(tags, [values])),
        "known extension": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16] * 3, pa.binary(16))),
        "boolean extension": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())),
    }
    inside = {f"struct of {name}": pa.StructArray.from_arrays([column], ["q"]) for name, column in alone.items()}
    lists = {f"dictionary of {name}": encoded(alone[name]) for name in ("binary_view", "fixed_size_binary", "list of nulls")}
    return alone | inside | lists | {"dictionary of struct": encoded(read()["struct"])}


def encoded(values: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0, None, 2], pa.int8()), values)


PLACES = (
    *("note", "salary", "purpose", "features.salary", "features.purpose", "features.note", "attributes.sex"),
    *("id", "time", "model", "prediction", "label", "score", "version", "type", "prediction_id", "source"),
)


def table(place: str, column: pa.Array) -> pa.RecordBatch:
    columns = {"id": ["a", "b", "c"], "time": [1, 2, 3], "model": ["loans", "nobody", "loans"], "prediction": [1, 0, 1]}
    struct, _, field = place.rpartition(".")
    return pa.record_batch(columns | ({struct: pa.StructArray.from_arrays([column], [field])} if struct else {place: column}))


def stream(*batches: pa.RecordBatch) -> bytes:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(out.getvalue().to_pybytes())


def parts_of(value: bytes) -> Any:
    headers = [("content-type", ARROW.encode())]
    return unwrap([SimpleNamespace(offset=0, timestamp=1, key=None, value=value, headers=headers)], None).parts


def fate(value: bytes) -> list[Any]:
    """What becomes of a record: reason and detail of the one dead letter it is, else the positions of its rows."""
    found: list[Any] = []
    for part in parts_of(value):
        if not isinstance(part, ArrowPart):
            (problem,) = part.problems.values()
            return [problem.reason, problem.detail]
        assert json.loads(written_out(part.batch, part.batch.num_rows - 1, MODELS))
        for item in decode_arrow(part.batch, part.first, MODELS):
            found += [item.offset] if isinstance(item, DeadLetter) else item.positions.tolist()
    return sorted(found)


@pytest.fixture(scope="module")
def fates() -> dict[tuple[str, str], list[Any]]:
    """What became of each type in each place, in a process of its own: some types would end it."""
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, (lines[-1:], run.stderr[-2000:])
    return {(place, name): said for place, name, said in lines}


def test_every_row_of_a_type_that_can_be_read_comes_out_once_in_any_place(fates):
    nothing = {(place, name) for place in ("id", "time", "model", "prediction") for name in ("null", "dictionary of null")}
    for place in PLACES:
        for name in read():
            said = fates[place, name]
            if (place, name) in nothing:
                assert (said[0], "null" in said[1]) == (Reason.MISSING_FIELD, True), (place, name)
            else:
                assert said == [0, 1, 2, 3, 4, 5], (place, name)


def test_any_other_type_makes_one_dead_letter_that_names_column_and_type(fates):
    for place in PLACES:
        for name, column in refused().items():
            reason, detail = fates[place, name]
            inner, kind = place, column.type
            if pa.types.is_struct(kind):
                inner, kind = f"{place}.q", kind.field(0).type
            said = f"extension {kind.extension_name}" if isinstance(kind, pa.BaseExtensionType) else str(kind)
            assert (reason, detail) == (
                Reason.NOT_ARROW,
                f"The column {inner} is of type {said[:100]}, which cannot be read.",
            ), name


def test_an_extension_is_refused_whether_or_not_it_is_known_here():
    field = pa.field("note", pa.int64(), metadata={"ARROW:extension:name": "a.b"})
    schema = table("note", pa.array([1, 2, 3])).schema
    batch = table("note", pa.array([1, 2, 3])).cast(schema.set(schema.get_field_index("note"), field))
    assert fate(stream(batch)) == [Reason.NOT_ARROW, "The column note is of type extension a.b, which cannot be read."]


class Strange(pa.ExtensionType):
    """A type whose code fails on what a stream says of it."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "guardian.strange")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Strange":
        raise KeyError(serialized)


def test_code_of_an_extension_that_fails_is_told():
    value = stream(table("note", pa.ExtensionArray.from_storage(Strange(), pa.array([1, 2, 3]))))
    pa.register_extension_type(Strange())
    try:
        reason, detail = fate(value)
    finally:
        pa.unregister_extension_type("guardian.strange")
    assert (reason, "broken" in detail) == (Reason.NOT_ARROW, True)


def test_a_small_table_of_nothing_is_one_dead_letter_however_many_rows_it_has():
    for n in (1, (1 << 20) - 1):
        value = stream(pa.record_batch({name: pa.nulls(n) for name in ("id", "time", "model", "prediction")}))
        assert len(parts_of(value)) == 1
        assert fate(value)[0] == (Reason.MISSING_FIELD if n == 1 else Reason.TOO_LARGE)


@pytest.mark.parametrize("lacking", ["id", "time", "model", "prediction", "label"])
def test_a_column_every_event_needs_is_not_of_nulls(lacking):
    batch = table(lacking, pa.nulls(3))
    if lacking == "label":
        assert fate(stream(batch)) == [0, 1, 2]  # Labels that are not known yet: the rows are predictions.
        batch = batch.drop_columns(["prediction"])
    reason, detail = fate(stream(batch))
    assert (reason, "of type null" in detail) == (Reason.MISSING_FIELD, True)


def test_rows_are_bounded_by_bytes_beyond_some():
    def thin(*rows: int) -> bytes:
        return stream(*(pa.record_batch({"id": pa.nulls(n)}) for n in rows))

    assert not isinstance(read_stream(thin(EVENTS_FREE)), Problem)
    for value in (thin(EVENTS_FREE + 1), thin(EVENTS_FREE, 1)):
        assert len(value) // ROW_BYTES_MIN <= EVENTS_FREE
        problem = read_stream(value)
        assert isinstance(problem, Problem)
        assert (problem.reason, "in " + str(len(value)) + " bytes" in problem.detail) == (Reason.TOO_LARGE, True)


def test_the_thinnest_honest_table_is_read():
    ids = pa.array([f"{i:x}" for i in range(3_000)])
    once = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000, np.int8)), pa.array([5]))
    batch = pa.record_batch({"id": ids, "time": once, "prediction": once}).replace_schema_metadata({"model": "loans"})
    assert fate(stream(batch)) == list(range(3_000))


def test_bytes_that_rows_share_are_counted_as_texts_are():
    for kind in (pa.binary(), pa.large_binary()):
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int8()), pa.array([b"x" * 100_000], kind))
        problem = read_stream(stream(pa.record_batch({"id": column})))
        assert isinstance(problem, Problem)
        assert problem.reason is Reason.TOO_LARGE


def say(line: list[Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for place in PLACES:
        for name, column in (read() | refused()).items():
            say([place, name, "begun"])
            batch = table(place, column)
            say([place, name, fate(stream(batch, batch))])
