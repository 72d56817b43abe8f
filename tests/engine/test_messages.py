"""What leaves is what the schemas say: announcements, audit records, checkpoints and dead letters, as a relay sends them."""

import json
import re
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from guardian.audit.leaf import leaf_hash
from guardian.bootstrap import make_home, open_audit_log, open_store, take_checkpoint
from guardian.canonical import canonical
from guardian.config import Home
from guardian.decisions.retraining import RequestState
from guardian.effects import Effects
from guardian.engine.asyncapi import asyncapi
from guardian.engine.halt import halt, resume
from guardian.engine.land import land
from guardian.engine.lease import Holding
from guardian.engine.messages import ASKED, DATA, SEQUENCED, TOLD, incoming_schema, outgoing_schema
from guardian.engine.ports import Partition
from guardian.engine.relay import Relay
from guardian.engine.topics import COMPLETED_TYPE, DEADLETTER_TYPE, RECORD_TYPE, SPECS
from guardian.events.dead_letter import Problem, bury
from guardian.events.reasons import Reason
from guardian.pipeline import consequences
from guardian.testing.contracts import NOW

LOG = "guardian.events"
P = Partition(LOG, 0)


@pytest.fixture
def sent(tmp_path):
    """What a relay sends of a home in which a partition was halted and resumed, an event is dead, and the log is signed."""
    home = Home(tmp_path)
    make_home(home)
    found = defaultdict(list)
    with closing(open_store(home)) as store:
        store.ensure_partitions(LOG, 1)
        letter = bury(b"{", 0, Problem(Reason.NOT_JSON, "$", "It is no JSON."), None)
        claim = land(store, store.claim(P, "me"), 1, Effects(dead_letters=[letter]), NOW)
        halt(store, claim, "it is another log", NOW)
        resume(store, P, "Ada", "restored", NOW + 1)
        take_checkpoint(home)
        holding = Holding(store, "relay", "me", lambda: NOW)
        relay = Relay(store, open_audit_log(home), lambda topic, sent: found[topic].extend(sent), LOG, holding, lambda: NOW)
        while relay.turn():
            pass
    return {topic: [json.loads(parcel.value) for parcel in parcels] for topic, parcels in found.items()}


def test_everything_that_leaves_is_of_its_topic_and_of_its_schema(sent):
    types = {spec.name: set(spec.types) for spec in SPECS}
    assert sent.keys() == {"alerts", "audit", "deadletter"}
    for topic, events in sent.items():
        for event in events:
            assert event["type"] in types[topic]
            jsonschema.validate(event, outgoing_schema(event["type"]))
            assert set(event) - {"subject"} <= set(outgoing_schema(event["type"])["properties"])
            assert set(event["data"]) == set(DATA[event["type"]]["properties"]), "a name that the schema does not know"
    assert {event["type"] for event in sent["audit"]} == types["audit"]


@pytest.mark.parametrize("type_", [type_ for spec in SPECS if spec.direction == "out" for type_ in spec.types])
def test_a_message_without_a_part_of_it_is_refused(sent, type_):
    examples = [event for events in sent.values() for event in events if event["type"] == type_]
    if not examples:
        assert type_ == consequences.RETRAINING_TYPE  # Of which the demo's test has one.
        return
    schema = outgoing_schema(type_)
    assert ("sequence" in schema["required"]) is (type_ in SEQUENCED)
    for name in schema["required"]:
        assert not jsonschema.Draft7Validator(schema).is_valid({k: v for k, v in examples[0].items() if k != name})
    for name in DATA[type_]["required"]:
        less = {k: v for k, v in examples[0]["data"].items() if k != name}
        assert not jsonschema.Draft7Validator(schema).is_valid({**examples[0], "data": less})


def test_a_record_that_leaves_is_the_record_whose_hash_the_next_one_has(sent):
    records = [event["data"] for event in sent["audit"] if event["type"] == RECORD_TYPE]
    assert [(record["stream"], record["seq"], record["kind"]) for record in records] == [
        ("intake/0", 0, "halted"),
        ("intake/0", 1, "resumed"),
    ]
    assert records[1]["prev"] == leaf_hash(canonical(records[0])).hex()


def test_a_dead_letter_that_may_be_personal_leaves_without_its_bytes(sent):
    (event,) = sent["deadletter"]
    assert event["type"] == DEADLETTER_TYPE
    assert (event["data"]["reason"], event["data"]["sample"]) == ("not-json", "")


def test_words_are_those_of_the_code():
    assert {str(kind) for kind in TOLD} == {"firing", "raised_late", "resolved", "retracted", "amended"}
    assert set(ASKED) == consequences._TOLD_TRAINERS
    assert RequestState.REQUESTED in ASKED


def test_an_answer_of_a_trainer():
    answer = {
        "specversion": "1.0", "type": COMPLETED_TYPE, "id": "run-7", "source": "/trainer", "time": "2026-01-01T00:00:00Z",
        "data": {"request": "0" * 32, "model": "credit", "outcome": "completed", "note": "AUC 0.91"},
    }  # fmt: skip
    jsonschema.validate(answer, incoming_schema(COMPLETED_TYPE))
    for spoilt in ({"outcome": "done"}, {"request": "7"}, {"model": ""}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**answer, "data": {**answer["data"], **spoilt}}, incoming_schema(COMPLETED_TYPE))
    assert asyncapi("1", "g", "w")["components"]["schemas"]["retrainingCompleted"] == incoming_schema(COMPLETED_TYPE)


def test_the_manuals_answer_of_a_trainer_is_one():
    page = (Path(__file__).parents[2] / "docs/topics.md").read_text("utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    jsonschema.validate(json.loads(example), incoming_schema(COMPLETED_TYPE))
