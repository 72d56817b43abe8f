"""`guardian emit` on a real home: what it sends, what it says, and how it fails."""

import io
import json

import pytest

from guardian import bootstrap
from guardian.config import Home
from guardian.entrypoints.cli import main
from guardian.events.codec import decode
from guardian.events.rows import LabelRows, PredictionRows
from guardian.policies.load import load_set
from guardian.testing.example_events import LABEL, PREDICTION

MODEL = b"""\
apiVersion: guardian/v1alpha1
kind: Model
metadata: {name: loans, owner: risk@example.org}
spec:
  task: binary_classification
  positive_label: 1
  champion: "1"
  features:
    salary: {type: numeric}
  labels: {horizon: 90d}
"""
PREDICTIONS = """\
id,time,salary,prediction
a,2018-10-30 18:00:00,1000,1
b,2018-10-30 17:00:00,1200.50,0
,2018-10-30 19:00:00,900,0
c,2018-10-30 19:00:00,,1
"""
LABELS = '{"id":"a","time":"2018-10-30T19:00:00Z","label":1}\n{"id":"b","time":"2018-10-30T18:30:00Z","label":0}\n'


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.policies.mkdir(parents=True)
    (home.policies / "loans.yaml").write_bytes(MODEL)
    bootstrap.upgrade_database(home)
    (tmp_path / "predictions.csv").write_text(PREDICTIONS)
    (tmp_path / "labels.jsonl").write_text(LABELS)
    return home


def run(home, *words):
    return main(["--home", str(home.root), "emit", *map(str, words)])


def sent(home):
    deliveries = bootstrap.open_log(home).read(0, 1_000)
    return [event for delivery in deliveries for event in delivery.events], {d.received_at for d in deliveries}


def test_tables_are_merged_by_time_and_rejects_are_named(home, tmp_path, capsys):
    tables = ("--predictions", tmp_path / "predictions.csv", "--labels", tmp_path / "labels.jsonl")
    assert run(home, "--model", "loans", *tables, "--as-of", "2018-11-01T00:00:00Z", "--batch", 2) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["predictions row 3: no-id", "5 events sent, 1 rows rejected"]
    events, received = sent(home)
    said = [(event["type"].split(".")[2], event["id"][0], event["time"][11:16]) for event in map(json.loads, events)]
    assert said == [
        ("prediction", "b", "17:00"),
        ("prediction", "a", "18:00"),
        ("label", "b", "18:30"),
        ("prediction", "c", "19:00"),
        ("label", "a", "19:00"),
    ]
    assert received == {1541030400000}
    found = list(decode(events, 0, load_set({"loans.yaml": MODEL}).models))
    assert {type(rows) for rows in found} == {PredictionRows, LabelRows}
    assert next(rows for rows in found if isinstance(rows, PredictionRows)).columns["salary"][0] == 1200.5


def test_events_go_as_they_are(home, tmp_path, capsys):
    (tmp_path / "events.jsonl").write_bytes(PREDICTION + b"\n[" + LABEL + b"," + LABEL + b"]\nnonsense\n")
    assert run(home, "--events", tmp_path / "events.jsonl") == 0
    assert sent(home)[0] == [PREDICTION, LABEL, LABEL, b"nonsense"]
    assert capsys.readouterr().err == "4 events sent, 0 rows rejected\n"


def test_events_come_from_stdin(home, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PREDICTION + b"\n")))
    assert run(home, "--events", "-") == 0
    assert sent(home)[0] == [PREDICTION]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "nothing to send"),
        (("--model", "loans"), 2, "nothing to send"),
        (("--events", "x", "--model", "loans"), 2, "--events goes alone"),
        (("--model", "loans", "--predictions", "none.csv"), 4, "there is no file none.csv"),
        (("--model", "lones", "--predictions", "none.csv"), 4, "did you mean loans?"),
        (("--events", "none.jsonl"), 4, "none.jsonl cannot be read"),
        (("--events", "none.jsonl", "--as-of", "soon"), 2, "--as-of"),
        (("--model", "loans", "--predictions", "none.csv", "--format", "arrow"), 2, "for tables to Kafka"),
        (("--to", "kafka", "--events", "none.jsonl", "--format", "arrow"), 2, "for tables to Kafka"),
    ],
)
def test_failures_say_what_to_do(home, capsys, words, code, said):
    assert run(home, *words) == code
    assert said in capsys.readouterr().err
    assert sent(home)[0] == []


def test_a_missing_column_sends_nothing(home, tmp_path, capsys):
    (tmp_path / "predictions.csv").write_text(PREDICTIONS.replace("salary", "salery"))
    assert run(home, "--model", "loans", "--predictions", tmp_path / "predictions.csv") == 4
    assert "no column salary (hint: did you mean salery?" in capsys.readouterr().err
    assert sent(home)[0] == []
