"""Tables to events: the same events from every format, in order of time, and no row lost without a word."""

import datetime as dt
import json
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, parquet

from guardian.adapters.tables.table import open_table
from guardian.catalog.model_file import ModelFile
from guardian.events.codec import decode
from guardian.events.dead_letter import DeadLetter
from guardian.events.rows import LabelRows, PredictionRows
from guardian.pipeline import tabular
from guardian.pipeline.tabular import Reject, RejectReason, Rejects, Timed
from guardian.testing.example_events import model_file

COLUMNS = {"id": "no", "time": "at", "prediction": "said", "score": "p", "label": "true", "version": "v"}
MODEL = model_file("loans", columns=COLUMNS, protected=["sex"])
AT = dt.datetime(2018, 10, 30, 18, tzinfo=dt.UTC)
DATA = "src/guardian/demo_data"


def row(i: int, **other: object) -> dict[str, object]:
    base = {
        "no": f"{i:03d}",
        "at": AT + dt.timedelta(minutes=i),
        "said": i % 2,
        "p": i / 10,
        "v": "2" if i % 3 else None,
        "salary": 1000.0 + i,
        "purpose": ("car", "1", None)[i % 3],
        "sex": ("f", "m")[i % 2],
    }
    return base | other


def events_of(batches, model=MODEL):
    rejects = Rejects()
    return list(tabular.predictions(batches, model, rejects)), rejects


def test_every_format_makes_the_same_events(tmp_path):
    rows = [row(i) for i in range(9)]
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "t.parquet")
    csv.write_csv(table, tmp_path / "t.csv")
    lines = [json.dumps(values | {"at": values["at"].isoformat()}) for values in rows]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    names = tabular.prediction_columns(MODEL)
    made = [events_of(open_table(tmp_path / f"t{suffix}").batches(names, 4)) for suffix in (".parquet", ".csv", ".jsonl")]
    assert made[0][0] == made[1][0] == made[2][0]
    assert len(made[0][0]) == 9
    assert [rejects.count for _, rejects in made] == [0, 0, 0]
    (rows_decoded,) = decode([event for _, event in made[0][0]], 0, {"loans": MODEL})
    assert isinstance(rows_decoded, PredictionRows)
    assert rows_decoded.columns["purpose"][:3] == ["car", "1", None]
    assert rows_decoded.columns["sex"][:2] == ["f", "m"]
    assert rows_decoded.versions[:2] == ["1", "2"]  # A row without a version is the champion's.
    assert rows_decoded.times[1] - rows_decoded.times[0] == 60_000


def batch(*rows: dict[str, object]) -> list[dict[str, list[object]]]:
    return [{name: [values[name] for values in rows] for name in rows[0]}]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"no": None}, RejectReason.NO_ID),
        ({"no": ""}, RejectReason.NO_ID),
        ({"at": None}, RejectReason.NO_TIME),
        ({"at": "soon"}, RejectReason.BAD_TIME),
        ({"at": -1}, RejectReason.BAD_TIME),
        ({"at": True}, RejectReason.BAD_TIME),
        ({"at": 1e300}, RejectReason.BAD_TIME),
        ({"at": "9999-12-31T23:59:59-01:00"}, RejectReason.BAD_TIME),
        ({"said": None}, RejectReason.NO_VALUE),
        ({"salary": math.inf}, RejectReason.NOT_FINITE),
        ({"salary": 10**400}, RejectReason.NOT_FINITE),
        ({"p": -math.inf}, RejectReason.NOT_FINITE),
    ],
)
def test_a_row_that_can_be_no_event_is_a_reject_with_its_number(wrong, reason):
    good = [row(i, at=i) for i in (1, 2)]
    found, rejects = events_of([*batch(good[0]), *batch(good[1] | wrong, good[1])])
    assert len(found) == 2
    assert (rejects.count, rejects.first) == (1, [Reject("predictions", 2, reason)])


def test_what_merely_does_not_fit_becomes_a_dead_letter():
    for wrong in ({"salary": "much"}, {"purpose": ["car"]}, {"p": 7.0}, {"no": "x" * 600}):
        found, rejects = events_of(batch(row(1, at=5) | wrong))
        assert rejects.count == 0
        (letter,) = decode([found[0].event], 0, {"loans": MODEL})
        assert isinstance(letter, DeadLetter)


@pytest.mark.parametrize(
    "at",
    [
        1540922400000,
        1540922400000.0,
        "2018-10-30 18:00:00",
        "2018-10-30T18:00:00.000",
        "2018-10-30T19:00:00+01:00",
        "2018-10-30T18:00:00Z",
    ],
)
def test_times_are_read_as_utc_where_they_do_not_say(at):
    assert events_of(batch(row(1, at=at)))[0][0].time_ms == 1540922400000


def test_numbers_and_categories_have_one_spelling():
    spelled = [{"salary": 7, "purpose": 1}, {"salary": "7.0", "purpose": 1.0}, {"salary": 7.0, "purpose": "1"}]
    made = {events_of(batch(row(1, at=5) | values))[0][0].event for values in spelled}
    assert len(made) == 1
    assert b'"salary":7.0,"purpose":"1"' in made.pop()
    assert b'"purpose":true' in events_of(batch(row(1, at=5, purpose=True)))[0][0].event


def test_labels():
    rejects = Rejects()
    rows = [{"no": "a", "at": 5, "true": 1}, {"no": "b", "at": 6, "true": None}, {"no": 7, "at": 7, "true": 0}]
    found = list(tabular.labels(batch(*rows), MODEL, rejects))
    assert rejects.first == [Reject("labels", 2, RejectReason.NO_VALUE)]
    (decoded,) = decode([event for _, event in found], 0, {"loans": MODEL})
    assert isinstance(decoded, LabelRows)
    assert (decoded.times.tolist(), decoded.labels) == ([5, 7], [1, 0])
    assert b'"id":"7/7"' in found[1].event


def test_rejects_are_bounded_and_all_counted():
    found, rejects = events_of(batch(*(row(i, no=None) for i in range(500))))
    assert (len(found), rejects.count, len(rejects.first)) == (0, 500, tabular.REJECTS_KEPT_MAX)


timed = st.lists(st.integers(0, 20), max_size=20).map(sorted)


@given(timed, timed)
def test_merging_keeps_time_and_puts_predictions_first(first, second):
    merged = list(tabular.merged([Timed(t, b"p") for t in first], [Timed(t, b"s") for t in second]))
    assert merged == sorted(merged, key=lambda item: (item.time_ms, item.event))
    assert len(merged) == len(first) + len(second)


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=8))
def test_order_is_seen_through_values_that_are_no_time(times):
    known = [at for at in times if at is not None]
    assert tabular.in_time_order([{"at": times[:3]}, {"at": times[3:]}], "at") == (known == sorted(known))


def test_sorting_keeps_the_order_of_equal_times():
    assert list(tabular.by_time([Timed(2, b"a"), Timed(1, b"b"), Timed(2, b"c"), Timed(1, b"d")])) == [
        (1, b"b"),
        (1, b"d"),
        (2, b"a"),
        (2, b"c"),
    ]


def demo_model(name: str) -> ModelFile:
    if name == "employment":
        codes = ["SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM"]
        features = {"AGEP": {"type": "numeric"}} | {code: {"type": "categorical"} for code in codes}
        columns = {"score": "predicted_probability"}
        return model_file(name, features=features, protected=["SEX", "RAC1P"], columns=columns)
    numeric = ("car_value", "debt_to_income_ratio", "loan_length", "driver_tenure")
    categorical = ("salary_range", "repaid_loan_on_prev_car", "size_of_downpayment")
    features = {n: {"type": "numeric"} for n in numeric} | {c: {"type": "categorical"} for c in categorical}
    return model_file(name, features=features, protected=[], columns={"score": "y_pred_proba", "prediction": "y_pred"})


@pytest.mark.parametrize("name", ["employment", "car_loan"])
def test_the_demo_data_decode_without_dead_letters(request, name):
    model, rejects = demo_model(name), Rejects()
    folder = request.config.rootpath / DATA
    for kind, names, make in (
        ("predictions", tabular.prediction_columns(model), tabular.predictions),
        ("labels", tabular.label_columns(model), tabular.labels),
    ):
        sample = next(open_table(folder / f"{name}_{kind}.parquet").batches(names, 5_000))
        events = [event for _, event in make([sample], model, rejects)]
        found = list(decode(events, 0, {name: model}))
        assert not [item for item in found if isinstance(item, DeadLetter)]
        assert sum(len(rows.positions) for rows in found if not isinstance(rows, DeadLetter)) == 5_000
    assert rejects.count == 0
