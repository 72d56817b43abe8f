"""The demo through Kafka, PostgreSQL and a worker: the embedded engine's story, and topics full of what the schemas say."""

from __future__ import annotations

import re

import jsonschema
import msgspec
import pytest
from trial.topics import check_topics

from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.engine.messages import DATA, outgoing_schema
from guardian.engine.ports import Partition
from guardian.engine.topics import AUDIT, DEADLETTER, RESULTS, SPECS
from guardian.pipeline.consequences import ALERT_TOPIC, RETRAINING_TOPIC
from guardian.testing.outcomes import outcome_of

pytestmark = pytest.mark.slow

ASKED = re.compile(r"retraining requested on [0-9-]+,|; id [0-9a-f]{32}$")  # When it was proposed depends on when labels came.


def story(screen: str) -> list[str]:
    """Return what is told of the two models, without when a retraining was proposed."""
    told = screen.partition("The audit log:")[0].splitlines()
    return [ASKED.sub("", line) for line in told]


def test_the_story_is_the_embedded_engines(demo, fleet):
    assert story(fleet.screen) == story(demo.screen)
    assert len(story(fleet.screen)) > 60
    assert "every one verified" in fleet.screen


def test_both_engines_come_to_the_same(demo, fleet):
    database = Database.at(demo.home / "guardian.db")
    embedded = outcome_of(SqlStore(database), [Partition("inbox", 0)])
    database.close()
    outcome = fleet.world.outcome()
    assert embedded.differences(outcome) == []
    assert outcome.fates == embedded.fates
    assert {alert[0] for alert in outcome.alerts} == {"car-loan", "employment-ma"}
    assert outcome.proposals


def test_the_log_is_covered_without_a_hole_and_everything_left_for_its_topics_once(fleet):
    assert fleet.world.tiling() == []
    assert check_topics(fleet.world, 0) == ([], 0)


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
