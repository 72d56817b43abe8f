"""Tables: the three formats give the same values, and what cannot be read is said clearly."""

import datetime as dt
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from guardian.adapters.tables.csv_text import value_of
from guardian.adapters.tables.table import open_table, read_columns
from guardian.errors import NotFoundError, UnreachableError, UsageError

AT = dt.datetime(2018, 10, 30, 18, 0, 0, 123_000, tzinfo=dt.UTC)
ROWS = [
    {"id": "a,1", "time": AT, "value": 1.5, "code": "007", "n": 3, "kind": "x", "yes": True},
    {"id": 'b"2', "time": AT + dt.timedelta(days=1), "value": None, "code": "1", "n": None, "kind": "y", "yes": False},
    {"id": "c\n3", "time": None, "value": -2e-07, "code": None, "n": 5, "kind": None, "yes": None},
]
NAMES = tuple(ROWS[0])


def write(path, rows=ROWS):
    table = pa.Table.from_pylist(rows)
    match path.suffix:
        case ".parquet":
            parquet.write_table(table, path)
        case ".csv":
            csv.write_csv(table, path)
        case _:
            lines = ({k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()} for row in rows)
            path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    return path


def whole(path, names=NAMES, rows=2):
    batches = list(open_table(path).batches(names, rows))
    assert all(len(values) <= rows for batch in batches for values in batch.values())
    return {name: [value for batch in batches for value in batch[name]] for name in names}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_every_format_gives_the_same_values(tmp_path, suffix):
    path = write(tmp_path / f"table{suffix}")
    assert open_table(path).names == NAMES
    found = whole(path)
    times = found.pop("time")
    assert found["id"] == ["a,1", 'b"2', "c\n3"]
    assert found["value"] == [1.5, None, -2e-07]
    assert [str(code) if code is not None else None for code in found["code"]] == ["007", "1", None]
    assert found["n"] == [3, None, 5]
    assert found["kind"] == ["x", "y", None]
    assert found["yes"] == [True, False, None]
    if suffix == ".parquet":
        assert times == [1540922400123, 1541008800123, None]
    else:
        assert dt.datetime.fromisoformat(times[0]) == AT


def test_only_the_named_columns_come_and_each_once(tmp_path):
    for suffix in (".parquet", ".csv", ".jsonl"):
        table = open_table(write(tmp_path / f"t{suffix}"))
        assert [list(batch) for batch in table.batches(["n", "id", "n"])] == [["n", "id"]]


@pytest.mark.parametrize(
    ("array", "want"),
    [
        (pa.array([AT], pa.timestamp("ns", "UTC")), [1540922400123]),
        (pa.array([AT], pa.timestamp("us", "Europe/Paris")), [1540922400123]),
        (pa.array([AT.replace(tzinfo=None)], pa.timestamp("ms")), [1540922400123]),
        (pa.array([1540922400], pa.timestamp("s")), [1540922400000]),
        (pa.array([AT.date()], pa.date32()), [1540857600000]),
        (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
        (pa.array([2, 1, 2], pa.int8()).dictionary_encode(), [2, 1, 2]),
        (pa.array([math.nan, 1.0, None]), [None, 1.0, None]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.array([1], pa.uint64()), [1]),
        (pa.array(["x"], pa.large_string()), ["x"]),
        (pa.array([None, None]), [None, None]),
        (pa.array([True]), [True]),
    ],
)
def test_types_of_parquet(tmp_path, array, want):
    parquet.write_table(pa.table({"c": array}), tmp_path / "t.parquet")
    found = whole(tmp_path / "t.parquet", ["c"], 10)["c"]
    assert found == want
    assert list(map(type, found)) == list(map(type, want))


def test_a_column_of_lists_is_refused_by_name(tmp_path):
    parquet.write_table(pa.table({"c": [[1]], "d": [1]}), tmp_path / "t.parquet")
    assert whole(tmp_path / "t.parquet", ["d"]) == {"d": [1]}
    with pytest.raises(UnreachableError, match=r"column c .* list"):
        whole(tmp_path / "t.parquet", ["c"])


@pytest.mark.parametrize(
    "text", ["0", "-1", "12.5", "-2e-07", "1e+20", "007", "1.10", "+5", ".5", "12e4", "-0", "9" * 40, "True", "x"]
)
def test_no_text_of_csv_is_lost(text):
    assert str(value_of(text)) == text


def test_quoted_nulls_of_csv_are_text(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\nNA,"NA"\n,""\n')
    assert whole(tmp_path / "t.csv", ["a", "b"]) == {"a": [None, None], "b": ["NA", ""]}


def test_a_value_of_csv_does_not_depend_on_its_neighbours(tmp_path):
    lines = [str(i) for i in range(200_000)] + ["x", "1.5"]
    (tmp_path / "t.csv").write_text("a\n" + "\n".join(lines) + "\n")
    found = whole(tmp_path / "t.csv", ["a"], 1_000)["a"]
    assert found == [*range(200_000), "x", 1.5]


def test_whole_columns_for_a_reference(tmp_path):
    for suffix in (".parquet", ".csv", ".jsonl"):
        found = read_columns(write(tmp_path / f"t{suffix}"), ["value", "n", "kind"])
        np.testing.assert_array_equal(found["value"], np.array([1.5, math.nan, -2e-07]))
        assert found["n"] == [3, None, 5]
        assert found["kind"] == ["x", "y", None]


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    for suffix in (".parquet", ".csv", ".jsonl"):
        with pytest.raises(NotFoundError, match=r"no column vlaue \(hint: did you mean value\?.*id, time"):
            open_table(write(tmp_path / f"t{suffix}")).batches(["id", "vlaue"])


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_what_cannot_be_read_is_unreachable(tmp_path, suffix):
    with pytest.raises(UnreachableError, match="there is no file"):
        open_table(tmp_path / f"none{suffix}")
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"a,b\n1,2\n\xff\xfe,3\n4\n")
    with pytest.raises(UnreachableError, match="broken"):
        list(open_table(path).batches(["a"]))


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.parquet"):
        open_table(tmp_path / "t.xlsx")


def test_the_broken_line_of_json_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a":1}\n\n[1]\n')
    with pytest.raises(UnreachableError, match="line 3"):
        open_table(tmp_path / "t.jsonl")
