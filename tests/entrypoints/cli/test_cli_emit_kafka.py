"""`guardian emit --to kafka` on a real broker: what lies in the topic, and how it fails."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from guardian.adapters.kafka.partitioning import by_murmur2
from guardian.config import Home
from guardian.entrypoints.cli import main
from guardian.events.unwrap import unwrap
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
PREDICTIONS = "id,time,salary,prediction\n" + "".join(f"p{i},2018-10-30 18:{i:02}:00,{1000 + i},{i % 2}\n" for i in range(20))
LABELS = "id,time,label\n" + "".join(f"p{i},2018-10-31 18:{i:02}:00,1\n" for i in range(20))
PARTITIONS = 3


@pytest.fixture
def home(tmp_path, monkeypatch, kafka, kafka_prefix):
    monkeypatch.setenv("GUARDIAN_BROKER", kafka.bootstrap)
    monkeypatch.setenv("GUARDIAN_TOPIC_PREFIX", kafka_prefix)
    home = Home(tmp_path / "home")
    home.policies.mkdir(parents=True)
    (home.policies / "loans.yaml").write_bytes(MODEL)
    (tmp_path / "predictions.csv").write_text(PREDICTIONS)
    (tmp_path / "labels.csv").write_text(LABELS)
    return home


def run(home, *words):
    return main(["--home", str(home.root), *map(str, words)])


def emit(home, *words):
    return run(home, "emit", "--to", "kafka", *words)


@pytest.fixture
def made(home, capsys):
    assert run(home, "topics", "create", "--partitions", PARTITIONS) == 0
    capsys.readouterr()
    return home


def read(kafka, prefix):
    """Return all records of the events' topic, by partition."""

    async def fetch():
        places = [TopicPartition(f"{prefix}.events", number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found = {place.partition: [] for place in places}
            while sum(map(len, found.values())) < sum(ends.values()):
                for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
                    found[place.partition] += records
            return found
        finally:
            await consumer.stop()

    return asyncio.run(fetch())


def test_tables_lie_in_the_partitions_of_their_ids_in_order_of_time(made, tmp_path, kafka, kafka_prefix, capsys):
    tables = ("--predictions", tmp_path / "predictions.csv", "--labels", tmp_path / "labels.csv")
    assert emit(made, "--model", "loans", *tables, "--batch", 7) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "40 events sent, 0 rows rejected"
    found = read(kafka, kafka_prefix)
    assert sum(map(len, found.values())) == 40
    for number, records in found.items():
        events = [json.loads(record.value) for record in records]
        assert [event["time"] for event in events] == sorted(event["time"] for event in events)
        for record, event in zip(records, events, strict=True):
            assert record.key.decode() == event["data"].get("prediction_id", event["id"])
            assert by_murmur2(record.key, PARTITIONS) == number
            assert dict(record.headers)["content-type"] == b"application/cloudevents+json"


def test_arrow_holds_the_same_events_in_the_same_partitions(made, tmp_path, kafka, kafka_prefix, capsys):
    tables = ("--predictions", tmp_path / "predictions.csv", "--labels", tmp_path / "labels.csv")
    assert emit(made, "--model", "loans", *tables) == 0
    singly = read(kafka, kafka_prefix)
    ends = {number: len(records) for number, records in singly.items()}
    assert emit(made, "--model", "loans", *tables, "--format", "arrow", "--as-of", "2018-12-01") == 2
    assert emit(made, "--model", "loans", *tables, "--format", "arrow") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "40 events sent, 0 rows rejected"
    models = load_set({"loans.yaml": MODEL}).models
    for number, records in read(kafka, kafka_prefix).items():
        bulk = records[ends[number] :]
        assert {dict(record.headers)["content-type"] for record in bulk} == {b"application/vnd.apache.arrow.stream"}
        assert len(bulk) == 2
        parts = unwrap(bulk, None).parts
        found = [part.event(part.first + i, models) for part in parts for i in range(len(part))]
        assert sorted(map(said, found)) == sorted(said(record.value) for record in singly[number])


def said(event):
    value = json.loads(event)
    return value["type"], value["id"], value["time"], json.dumps(value["data"], sort_keys=True)


def test_events_go_as_they_are_with_the_time_they_are_received_at(made, tmp_path, kafka, kafka_prefix, monkeypatch):
    monkeypatch.setattr("guardian.adapters.clock.wall_clock", lambda: 1_700_000_000_000)
    (tmp_path / "events.jsonl").write_bytes(PREDICTION + b"\n[" + LABEL + b"]\nnonsense\n")
    assert emit(made, "--events", tmp_path / "events.jsonl", "--as-of", "2023-11-14T00:00:00Z") == 0
    records = [record for own in read(kafka, kafka_prefix).values() for record in own]
    assert sorted(record.value for record in records) == sorted([PREDICTION, LABEL, b"nonsense"])
    assert {record.timestamp for record in records} == {1_699_920_000_000}


@pytest.mark.parametrize(
    ("as_of", "said"), [("2016-01-01", "deletes what is older than 14d"), ("2500-01-01", "more than 1h ahead")]
)
def test_what_would_not_stay_in_the_topic_is_refused(made, tmp_path, kafka, kafka_prefix, capsys, as_of, said):
    (tmp_path / "events.jsonl").write_bytes(PREDICTION)
    assert emit(made, "--events", tmp_path / "events.jsonl", "--as-of", as_of) == 2
    assert said in capsys.readouterr().err
    assert not any(read(kafka, kafka_prefix).values())


def test_no_topic_and_no_broker_say_what_to_do(home, tmp_path, monkeypatch, capsys):
    (tmp_path / "events.jsonl").write_bytes(PREDICTION)
    assert emit(home, "--events", tmp_path / "events.jsonl") == 4
    assert "guardian topics create" in capsys.readouterr().err
    monkeypatch.setenv("GUARDIAN_BROKER", "127.0.0.1:1")
    assert emit(home, "--events", tmp_path / "events.jsonl") == 4
    assert "broker.unreachable" in capsys.readouterr().err
