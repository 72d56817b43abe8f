"""The demo through Kafka, PostgreSQL and a worker: the embedded engine's story, and topics full of what the schemas say."""

from __future__ import annotations

import asyncio
import os
import re
import tomllib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from guardian.engine.messages import DATA, outgoing_schema
from guardian.engine.topics import AUDIT, DEADLETTER, RESULTS, SPECS, full_name
from guardian.events.unwrap import STRUCTURED
from guardian.pipeline.consequences import ALERT_TOPIC, RETRAINING_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ASKED = re.compile(r"retraining requested on [0-9-]+,|; id [0-9a-f]{32}$")  # When it was proposed depends on when labels came.


@dataclass(frozen=True)
class Fleet:
    """A finished demo through Kafka: what it printed, what lies on its topics, and its environment."""

    home: str
    screen: str
    environment: dict[str, str]
    messages: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def fleet(demo, kafka, postgres, tmp_path_factory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet") / "guardian-demo"
    database = f"guardian_demo_{uuid.uuid4().hex}"
    environment = {**os.environ, "GUARDIAN_BROKER": kafka.bootstrap, "GUARDIAN_DATABASE": postgres.create_database(database)}
    done = demo.run("demo", "--to", "kafka", "--dir", str(home), env=environment)
    assert done.returncode == 0, done.stderr
    prefix = tomllib.loads((home / "guardian.toml").read_text("utf-8"))["topic_prefix"]
    yield Fleet(str(home), done.stdout, environment, {spec.name: read(kafka, full_name(prefix, spec.name)) for spec in SPECS[1:]})
    kafka.delete_topics(prefix)
    postgres.drop_database(database)


def read(kafka, topic: str) -> list[dict[str, Any]]:
    """Return every message of a topic, partition after partition."""

    async def fetch() -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            place = TopicPartition(topic, 0)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            found: list[Any] = []
            while len(found) < end:
                found += (await consumer.getmany(timeout_ms=1_000)).get(place, [])
            return found
        finally:
            await consumer.stop()

    records = asyncio.run(fetch())
    assert {dict(record.headers)["content-type"] for record in records} <= {STRUCTURED.encode()}
    return [msgspec.json.decode(record.value) for record in records]


def story(screen: str) -> list[str]:
    """Return what is told of the two models, without when a retraining was proposed."""
    told = screen.partition("The audit log:")[0].splitlines()
    return [ASKED.sub("", line) for line in told]


def test_the_story_is_the_embedded_engines(demo, fleet):
    assert story(fleet.screen) == story(demo.screen)
    assert len(story(fleet.screen)) > 60
    assert "every one verified" in fleet.screen


def test_every_message_is_of_its_schema_and_has_no_name_that_it_does_not_know(demo, fleet):
    types = {spec.name: spec.types for spec in SPECS}
    validators = {type_: jsonschema.Draft7Validator(outgoing_schema(type_)) for type_ in DATA}
    for topic, events in fleet.messages.items():
        for event in events:
            assert event["type"] in types[topic]
            validators[event["type"]].validate(event)
            assert set(event["data"]) == set(DATA[event["type"]]["properties"])
    counts = {topic: len(events) for topic, events in fleet.messages.items()}
    done = demo.run("--home", fleet.home, "get", "alerts", "-o", "json", env=fleet.environment)
    assert {row["id"] for row in msgspec.json.decode(done.stdout)} <= {e["data"]["id"] for e in fleet.messages[ALERT_TOPIC]}
    assert counts[ALERT_TOPIC] >= 19
    assert counts[RETRAINING_TOPIC] == 1
    assert counts[AUDIT] > 1_000
    assert (counts[DEADLETTER], counts[RESULTS]) == (0, 0)


def test_nothing_is_missing_in_any_stream(fleet):
    for topic in (ALERT_TOPIC, RETRAINING_TOPIC):
        sequences = [int(event["sequence"]) for event in fleet.messages[topic]]
        assert sorted(set(sequences)) == list(range(1, max(sequences) + 1))
    streams: dict[str, list[int]] = {}
    for event in fleet.messages[AUDIT]:
        if "sequence" in event:
            streams.setdefault(event["subject"], []).append(int(event["sequence"]))
    assert {"decisions/car-loan", "decisions/employment-ma", "control"} <= streams.keys()
    assert all(sorted(set(found)) == list(range(max(found) + 1)) for found in streams.values())


def test_the_doctor_finds_a_finished_fleet_well(demo, fleet):
    done = demo.run("--home", fleet.home, "doctor", "-o", "json", env=fleet.environment)
    assert done.returncode == 0, done.stderr
    assert [row for row in msgspec.json.decode(done.stdout) if row["state"] == "fail"] == []
    done = demo.run("demo", "--to", "kafka", "--dir", f"{fleet.home}-2", env=fleet.environment)
    assert done.returncode == 2
    assert "the database holds a log already" in done.stderr
