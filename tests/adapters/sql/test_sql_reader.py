"""The rows that people see: their names, which ones are shown, and that they come from the audit records."""

import pytest

from guardian.adapters.sql import reader as fields
from guardian.adapters.sql.reader import Filter, Reader
from guardian.adapters.sql.store import SqlStore
from guardian.effects import AlertWrite, DeadLetter, Effects, Fates, PaneWrite, Record, RequestWrite, VerdictEntry
from guardian.engine.land import land
from guardian.engine.ports import Partition
from guardian.errors import InvalidStateError, NotFoundError
from guardian.testing.contracts import NOW, P
from guardian.units import DAY_MS, format_time

# The words of the public contract; the test fails when a row gains, loses or renames one.
PUBLIC = {
    "verdicts": "id model version policy rule severity metric subject window revision final due_at recorded_at verdict reason "
    "value interval threshold n detail alert_id digests",
    "alerts": "id model version policy rule severity metric subject state started_at first_window last_window value interval "
    "threshold n summary replaces",
    "retraining": "id model version state reason alert_ids proposed_at decided_by decided_at history",
    "audit": "stream seq id kind recorded_at model body prev hash",
}
RULES = ("Drift", "Accuracy")


def window(day):
    return day * DAY_MS, (day + 30) * DAY_MS


def judged(day, revision, *, policy="p", verdict="satisfied", final=False):
    """One record with a row for each rule and severity, and the index entries of its rows."""
    start, end = window(day)
    due_at = end + revision * DAY_MS
    record = f"record-{policy}-{day}-{revision}"
    rows, entries = [], []
    for rule in RULES:
        for severity in ("warn", "error"):
            id_ = f"{policy}-{rule}-{severity}-{day}"
            row = {"id": id_, "rule": rule, "severity": severity, "metric": "drift.psi", "subject": {"column": "a"}}
            row |= {"revision": revision, "verdict": verdict, "reason": "because", "value": day + revision / 8}
            row |= {"interval": [0.0, 1.0], "threshold": 0.1, "condition": "> 0.1", "n": 500, "detail": {}}
            rows.append(row | {"evidence": "sha256:e", "alert_id": None})
            place = (id_, revision, final, "m", "1", policy, rule, severity, "column=a", start, end, due_at)
            entries.append(VerdictEntry(*place, verdict, "because", record, len(entries)))
    body = {"policy": policy, "version": "1", "window": {"start": format_time(start), "end": format_time(end)}}
    body |= {"due_at": format_time(due_at), "final": final, "method": "1", "rows": rows}
    body["digests"] = {"policy": "sha256:p", "model": "sha256:m", "reference": None}
    return Effects(records=[Record("decisions/m", "verdicts", record, "m", body)], verdicts=entries)


@pytest.fixture
def reader(database):
    store = SqlStore(database)
    claim = store.claim(P, "me")
    steps = [judged(day, 1) for day in range(4)]
    steps += [judged(1, 2, verdict="violated"), judged(1, 3, verdict="violated", final=True), judged(0, 1, policy="q")]
    for step, effects in enumerate(steps, start=1):
        claim = land(store, claim, step, effects, NOW + step)
    return Reader(database)


def test_a_verdict_row_is_the_public_one(reader):
    rows = list(reader.verdicts(Filter(policy="p", limit=1)))
    start, end = window(3)
    assert tuple(rows[0]) == tuple(PUBLIC["verdicts"].split())
    assert rows[0]["window"] == {"start": format_time(start), "end": format_time(end)}
    assert rows[0]["digests"] == {"policy": "sha256:p", "model": "sha256:m", "reference": None, "evidence": "sha256:e"}
    assert rows[0]["recorded_at"] == format_time(NOW + 4)
    assert (rows[0]["value"], rows[0]["interval"], rows[0]["subject"]) == (3.125, [0.0, 1.0], {"column": "a"})


def test_the_latest_revisions_are_shown_or_all(reader):
    latest = [(row["id"], row["revision"]) for row in reader.verdicts(Filter(policy="p"))]
    assert len(latest) == 16
    assert ("p-Drift-error-1", 3) in latest
    everything = [(row["id"], row["revision"]) for row in reader.verdicts(Filter(policy="p", everything=True))]
    assert len(everything) == 24
    assert {("p-Drift-error-1", n) for n in (1, 2, 3)} < set(everything)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(), 20),
        (Filter(model="m"), 20),
        (Filter(model="other"), 0),
        (Filter(policy="q"), 4),
        (Filter(rule="Drift"), 10),
        (Filter(severity="warn"), 10),
        (Filter(verdict="violated"), 4),
        (Filter(since=window(1)[1]), 8),
        (Filter(until=window(1)[1]), 12),
        (Filter(limit=3), 3),
    ],
)
def test_filters_narrow(reader, wanted, count):
    rows = list(reader.verdicts(wanted))
    assert len(rows) == count
    ends = [row["window"]["end"] for row in rows]
    assert ends == sorted(ends)


def test_a_limit_gives_the_newest_rows(reader):
    rows = [row["id"] for row in reader.verdicts(Filter())]
    for limit in range(1, 21):
        assert [row["id"] for row in reader.verdicts(Filter(limit=limit))] == rows[-limit:]


def test_a_measurement_is_shown_once_for_both_rungs(reader):
    rows = list(reader.measurements(Filter(policy="p")))
    assert tuple(rows[0]) == fields.MEASUREMENT_FIELDS
    assert [(row["window"]["end"], row["rule"]) for row in rows] == [
        (format_time(window(day)[1]), rule) for day in (0, 1, 2, 3) for rule in RULES
    ]


def test_a_limit_of_measurements_counts_measurements(reader):
    for everything in (False, True):
        rows = list(reader.measurements(Filter(everything=everything)))
        for limit in range(1, len(rows) + 2):
            assert list(reader.measurements(Filter(everything=everything, limit=limit))) == rows[-limit:]


def test_rows_come_by_pages(reader, monkeypatch):
    asked = Filter(everything=True)
    whole = [list(read(asked)) for read in (reader.verdicts, reader.measurements, reader.windows, reader.audit)]
    monkeypatch.setattr(fields, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(fields, "RECORDS_AT_ONCE", 1)
    assert [list(read(asked)) for read in (reader.verdicts, reader.measurements, reader.windows, reader.audit)] == whole


def test_windows_count_their_verdicts(reader):
    rows = list(reader.windows(Filter()))
    assert [tuple(row) for row in rows] == [fields.WINDOW_FIELDS] * 4
    assert [(row["violated"], row["satisfied"], row["final"]) for row in rows] == [
        (0, 8, False),
        (4, 0, True),
        (0, 4, False),
        (0, 4, False),
    ]
    assert list(reader.windows(Filter(limit=1))) == rows[-1:]


def test_a_row_that_is_not_where_the_index_says_is_named(database, reader):
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE verdict SET position = 3 WHERE position = 2")
    with pytest.raises(InvalidStateError, match="guardian audit verify"):
        list(reader.verdicts(Filter()))


def alert(name, state, **row):
    whole = {"id": name, "state": state, "metric": "drift.psi", "summary": "so", "ended_at": None} | row
    return AlertWrite(name, "m", "1", "p", "Drift", "error", "", state, 5, DAY_MS, whole)


def test_alerts_show_what_fires_or_fired(database):
    store, reader = SqlStore(database), Reader(database)
    writes = [alert("a", "firing"), alert("b", "resolved"), alert("c", "pending"), alert("d", "retracted")]
    land(store, store.claim(P, "me"), 1, Effects(alerts=writes), NOW)
    rows = list(reader.alerts(Filter()))
    assert tuple(rows[0]) == fields.ALERT_FIELDS
    assert set(PUBLIC["alerts"].split()) <= set(fields.ALERT_FIELDS)
    assert [row["id"] for row in rows] == ["a", "b"]
    assert [row["id"] for row in reader.alerts(Filter(everything=True))] == ["a", "b", "c", "d"]
    assert [row["id"] for row in reader.alerts(Filter(state="pending"))] == ["c"]
    gone = AlertWrite("a", "m", "1", "p", "Drift", "error", "", "pending", None, DAY_MS, gone=True)
    land(store, store.claim(P, "me"), 2, Effects(alerts=[alert("b", "firing", summary="again"), gone]), NOW)
    assert [(row["id"], row["state"], row["summary"]) for row in reader.alerts(Filter())] == [("b", "firing", "again")]


def test_requests_letters_records_and_models_have_their_fields(database):
    store, reader = SqlStore(database), Reader(database)
    effects = Effects(
        panes=[PaneWrite("m", "1", day * DAY_MS, space, "p", b"") for day in (0, 1) for space in ("inputs", "labels")],
        requests=[RequestWrite("r", "m", "1", "requested", NOW, {"id": "r", "history": [{"state": "proposed"}]})],
        dead_letters=[DeadLetter(3, "not-json", "it is not", "$", "", 4, "s", b"\xff{}")],
        records=[Record("control", "activation", "record", "", {"what": 1})],
    )
    land(store, store.claim(P, "me"), 4, effects, NOW)
    (request,) = reader.retraining(Filter())
    assert tuple(request) == fields.RETRAINING_FIELDS
    assert set(PUBLIC["retraining"].split()) <= set(fields.RETRAINING_FIELDS)
    assert request["history"] == [{"state": "proposed"}]
    (record,) = reader.audit(Filter())
    assert tuple(record) == fields.AUDIT_FIELDS == tuple(PUBLIC["audit"].split())
    assert (record["body"], record["recorded_at"]) == ({"what": 1}, format_time(NOW))
    (letter,) = reader.dead_letters(Filter())
    assert tuple(letter) == fields.DEADLETTER_FIELDS
    assert (letter["partition"], letter["offset"], letter["sample"]) == (0, 3, "\N{REPLACEMENT CHARACTER}{}")
    (model,) = reader.models(Filter())
    assert tuple(model) == fields.MODEL_FIELDS
    assert (model["panes"], model["last_pane"]) == (2, format_time(DAY_MS))
    assert list(reader.models(Filter(model="other"))) == []


def test_several_partitions_are_one_log_to_people(database):
    store, reader = SqlStore(database), Reader(database)
    store.ensure_partitions("events", 4)
    for number in range(4):
        partition = Partition("events", number)
        effects = Effects(
            panes=[
                PaneWrite("m", version, day * DAY_MS, "inputs", parameters, b"")
                for version, days in (("1", (0, 1, number)), ("2", (number,)))
                for day in days
                for parameters in ("p", "q")
            ],
            fates=[Fates("m", 0, {"counted": 2**40, "late": number // 3}), Fates("m", DAY_MS, {"late": 0})],
            dead_letters=[DeadLetter(5, "other", "", "", "m", 4, "s", b"", row) for row in (1, 0)],
        )
        land(store, store.claim(partition, "me"), 6, effects, NOW)
    models = [(row["version"], row["panes"], row["first_pane"], row["last_pane"]) for row in reader.models(Filter())]
    assert models == [("1", 4, format_time(0), format_time(3 * DAY_MS)), ("2", 4, format_time(0), format_time(3 * DAY_MS))]
    fates = [(row["pane"], row["fate"], row["n"]) for row in reader.intake(Filter())]
    assert fates == [(format_time(0), "counted", 2**42), (format_time(0), "late", 1)]
    assert all(type(n) is int for *_, n in fates)
    assert [row["fate"] for row in reader.intake(Filter(limit=1))] == ["late"]
    letters = list(reader.dead_letters(Filter()))
    assert [row["partition"] for row in letters] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert set(letters[0]) == set(fields.DEADLETTER_FIELDS)


def test_the_beginning_of_an_id_is_no_pattern(reader):
    record, position = reader.verdict_record("q-Drift-w")
    assert record["body"]["rows"][position]["id"] == "q-Drift-warn-0"
    assert reader.verdict_record("p-Drift-warn-1", 2)[0]["body"]["rows"][0]["revision"] == 2
    for wrong in ("q-Drift", "q_Drift-w", "%", "Q-Drift-w"):
        with pytest.raises(NotFoundError):
            reader.verdict_record(wrong)


def test_whoever_stops_reading_leaves_no_cursor(reader):
    for read in (reader.verdicts, reader.measurements, reader.windows, reader.audit):
        rows = read(Filter(everything=True))
        assert next(rows)
        rows.close()
