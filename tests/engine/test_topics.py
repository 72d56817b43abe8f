"""guardian's topics as data, and what is found of those that a broker has."""

import dataclasses

import pytest

from guardian.engine.findings import State, exit_code
from guardian.engine.topic_check import Cluster, TopicFound, check_topics, plan
from guardian.engine.topics import ALERT_TOPIC, EVENTS, SPECS, full_name

THREE = Cluster("g", "b:9092", 3, counted=12)


def as_made(cluster, **changed):
    """What a broker has after `plan` was carried out, with one topic's facts changed."""
    found = {
        each.name: TopicFound(each.partitions, each.replication, each.spec.config(each.replication))
        for each in plan(cluster, {}, None, None)
    }
    for name, facts in changed.items():
        topic = found[full_name("g", name)]
        config = {**topic.config, **facts.pop("config", {})}
        found[full_name("g", name)] = dataclasses.replace(topic, config=config, **facts)
    return found


def flaws(cluster, found):
    return [(each.check, each.state, each.what, each.hint) for each in check_topics(cluster, found) if each.state != State.OK]


def test_names_are_those_of_the_architecture():
    names = {full_name("guardian", spec.name): spec.direction for spec in SPECS}
    assert names == {
        "guardian.events": "in",
        "guardian.retraining.results": "in",
        "guardian.alerts": "out",
        "guardian.retraining.requests": "out",
        "guardian.audit": "out",
        "guardian.deadletter": "out",
    }


@pytest.mark.parametrize("brokers", [1, 2, 3, 9])
def test_what_is_made_is_well(brokers):
    cluster = dataclasses.replace(THREE, brokers=brokers)
    assert flaws(cluster, as_made(cluster)) == []
    assert len(list(check_topics(cluster, as_made(cluster)))) == len(SPECS)


def test_only_what_is_missing_is_planned_to_be_made():
    found = {"g.events": TopicFound(7, 1, {})}
    planned = {each.name: each for each in plan(Cluster("g", "b:9092", 2), found, 4, None)}
    assert (planned["g.events"].exists, planned["g.events"].partitions) == (True, 7)
    others = [each for each in planned.values() if not each.exists]
    assert len(others) == len(SPECS) - 1
    assert {each.replication for each in others} == {2}
    assert {each.partitions for each in others} == {1}


@pytest.mark.parametrize(("asked", "counted", "made"), [(None, 0, 12), (None, 5, 5), (4, 0, 4)])
def test_the_log_gets_as_many_partitions_as_are_counted(asked, counted, made):
    planned = plan(dataclasses.replace(THREE, counted=counted), {}, asked, 1)
    assert {each.partitions for each in planned if each.spec.name == EVENTS} == {made}
    assert {each.replication for each in planned} == {1}


def test_a_missing_topic_is_to_be_created():
    assert {hint for *_, hint in flaws(THREE, {})} == {"run guardian topics create"}
    assert exit_code(check_topics(THREE, {})) == 1


@pytest.mark.parametrize(
    ("name", "facts", "state", "what", "hint"),
    [
        (EVENTS, {"partitions": 24}, "fail", "24 partitions, and guardian counts 12", "set topic_prefix"),
        (ALERT_TOPIC, {"partitions": 2}, "warn", "order holds for each model alone", "one partition"),
        (EVENTS, {"config": {"retention.ms": "86400000"}}, "fail", "keeps 1d, and 14d", "--add-config retention.ms=1209600000"),
        (EVENTS, {"config": {"retention.bytes": "1000"}}, "warn", "cut by size", "retention.bytes=-1"),
        (EVENTS, {"config": {"cleanup.policy": "compact"}}, "fail", "compaction loses", "cleanup.policy=delete"),
        (EVENTS, {"config": {"cleanup.policy": "compact,delete"}}, "fail", "compaction loses", "cleanup.policy=delete"),
        (EVENTS, {"config": {"message.timestamp.type": "LogAppendTime"}}, "fail", "received", "=CreateTime"),
        (EVENTS, {"replication": 2, "config": {"min.insync.replicas": "1"}}, "fail", "2 copies on 3 brokers", "raise it to 3"),
        (EVENTS, {"config": {"min.insync.replicas": "1"}}, "fail", "1 of 3 copies", "min.insync.replicas=2"),
        (EVENTS, {"config": {"min.insync.replicas": "3"}}, "warn", "while a broker is away", "min.insync.replicas=2"),
        (EVENTS, {"config": {"max.message.bytes": "1048588"}}, "fail", "1,048,588 bytes", "max.message.bytes=8388608"),
    ],
)
def test_each_flaw_says_what_to_do(name, facts, state, what, hint):
    ((check, found, said, todo),) = flaws(THREE, as_made(THREE, **{name: facts}))
    assert check == f"topic g.{name}"
    assert found == state
    assert what in said
    assert hint in todo


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (EVENTS, {"config": {"retention.ms": "-1"}}),
        (EVENTS, {"config": {"retention.ms": str(400 * 86_400_000)}}),
        (ALERT_TOPIC, {"config": {"message.timestamp.type": "LogAppendTime"}}),
        (EVENTS, {"config": {"max.message.bytes": "99999999"}}),
    ],
)
def test_more_than_is_needed_is_well(name, facts):
    assert flaws(THREE, as_made(THREE, **{name: facts})) == []


def test_a_log_that_nobody_counts_yet_may_have_any_number_of_partitions():
    cluster = dataclasses.replace(THREE, counted=0)
    assert flaws(cluster, as_made(THREE, events={"partitions": 5})) == []
