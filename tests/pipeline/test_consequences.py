"""Consequences: what is written, recorded and announced of each transition, and what becomes of retraining."""

from dataclasses import replace

import pytest

from guardian.decisions.alerts import Kind, Track, close_stale, refold
from guardian.decisions.episodes import AlertKey, Point, Signal
from guardian.decisions.retraining import RetrainContext, act
from guardian.metrics.base import Subject
from guardian.pipeline.consequences import consequences
from guardian.pipeline.wording import number, summary
from guardian.policies.model import PolicyFile
from guardian.units import DAY_MS

FIGURES = "0.031 [0.027, 0.035] against a limit of 0.02 (n = 1,142), in 2 windows"
V, S, N = Signal.VIOLATED, Signal.SATISFIED, Signal.NEITHER


def policy(**rule) -> PolicyFile:
    plain = {"alert": "Drop", "metric": "performance.accuracy", "change": "drop", "warn": "> 0.01", "error": "> 0.02"}
    spec = {"match": {"models": ["m"]}, "rules": [{**plain, "retrain": {"approval": "required"}, **rule}]}
    metadata = {"name": "p", "labels": {"tier": "2", "team": "a"}}
    return PolicyFile.model_validate({"apiVersion": "guardian/v1alpha1", "kind": "Policy", "metadata": metadata, "spec": spec})


class World:
    """One alert's track and the requests of its model."""

    def __init__(self, severity: str = "error", context: RetrainContext | None = None, close_after: int = 2, **rule) -> None:
        self.policy = policy(**rule)
        self.rule = self.policy.spec.rules[0]
        self.key = AlertKey("m", "1", "p", "Drop", severity, Subject())
        self.context, self.close_after = context or RetrainContext(), close_after
        self.track, self.requests, self.due = Track(), {}, 0

    def say(self, *days: tuple[int, Signal]):
        points = [Point(d * DAY_MS - 30 * DAY_MS, d * DAY_MS, s, 0.031, 0.027, 0.035, 1142, 0.02, "why") for d, s in days]
        self.track, moves = refold(self.track, self.key, points, open_after=2, close_after=self.close_after, settled_until=-1)
        return self.follow(moves)

    def follow(self, moves):
        self.due += DAY_MS
        effects, self.requests = consequences(
            moves, key=self.key, rule=self.rule, policy=self.policy, due_at=self.due, requests=self.requests, context=self.context
        )
        return effects

    @property
    def states(self) -> list[str]:
        return [r.state.value for r in self.requests.values()]


def test_pending_is_recorded_and_not_announced():
    effects = World().say((1, V))
    assert [w.state for w in effects.alerts] == ["pending"]
    assert [(r.stream, r.kind, r.body["transition"]) for r in effects.records] == [("decisions/m", "alert", "pending")]
    assert effects.announcements == []


def test_vanished_removes_the_row_and_says_nothing():
    world = World()
    world.say((1, V))
    effects = world.say((2, S))
    assert [w.gone for w in effects.alerts] == [True]
    assert (effects.records, effects.announcements) == ([], [])


def test_extended_changes_the_row_alone():
    world = World()
    world.say((1, V), (2, V))
    effects = world.say((3, V))
    assert [w.row["last_window"]["end"] for w in effects.alerts] == ["1970-01-04T00:00:00.000Z"]
    assert (effects.records, effects.announcements, effects.requests) == ([], [], [])


def test_firing_has_every_field_of_an_alert():
    world = World(labels={"team": "b"}, annotations={"summary": "{{ model }} {{ value }}", "runbook_url": "https://x"})
    world.say((1, V))
    effects = world.say((2, V))
    (write,) = effects.alerts
    assert write.row == {
        "id": write.id, "model": "m", "version": "1", "policy": "p", "rule": "Drop", "severity": "error",
        "metric": "performance.accuracy", "subject": {}, "condition": "threshold", "state": "firing",
        "started_at": "1970-01-03T00:00:00.000Z", "ended_at": None,
        "first_window": {"start": "1969-12-03T00:00:00.000Z", "end": "1970-01-02T00:00:00.000Z"},
        "last_window": {"start": "1969-12-04T00:00:00.000Z", "end": "1970-01-03T00:00:00.000Z"},
        "value": 0.031, "interval": [0.027, 0.035], "threshold": 0.02, "n": 1142, "reason": "why", "summary": "m 0.031",
        "replaces": [], "stale": False, "labels": {"tier": "2", "team": "b"},
        "annotations": {"summary": "m 0.031", "runbook_url": "https://x"},
    }  # fmt: skip
    assert (write.state, write.started_at, write.first_window) == ("firing", 2 * DAY_MS, DAY_MS)
    alert, retraining = effects.announcements
    assert (alert.topic, alert.type, alert.key, alert.subject) == ("alerts", "io.guardian.alert.v1", "m", "m/1/p/Drop/error")
    assert alert.data == {**write.row, "transition": "firing", "due_at": "1970-01-03T00:00:00.000Z"}
    assert (retraining.topic, retraining.type) == ("retraining.requests", "io.guardian.retraining.requested.v1")
    assert retraining.data["alert_ids"] == [write.id]


def test_the_same_history_says_the_same_under_the_same_ids():
    def told():
        world = World()
        effects = [world.say((1, V)), world.say((2, V)), world.say((1, S)), world.say((3, V))]
        return [(r.id, r.body) for e in effects for r in e.records], [(a.id, a.data) for e in effects for a in e.announcements]

    assert told() == told()
    assert len({id_ for id_, _ in told()[0]}) == len(told()[0])


@pytest.mark.parametrize(
    ("severity", "retrain", "asks"),
    [
        ("error", {}, True),
        ("warn", {}, False),
        ("warn", {"on": "warn"}, True),
        ("error", {"on": "warn"}, False),
        ("error", None, False),
    ],
)
def test_retraining_follows_from_the_severity_that_the_rule_names(severity, retrain, asks):
    world = World(severity, retrain=retrain)
    world.say((1, V), (2, V))
    assert world.states == (["requested"] if asks else [])


def test_an_alert_about_unknowns_asks_for_nothing():
    world = World()
    world.key = replace(world.key, condition="unknown")
    world.say((1, V), (2, V))
    assert world.states == []


def test_only_requested_and_approved_are_told_to_trainers():
    declined, automatic = World(context=RetrainContext(broken_input=True)), World(retrain={"approval": "auto"})
    effects = declined.say((1, V), (2, V))
    assert (declined.states, [a.topic for a in effects.announcements]) == (["declined"], ["alerts"])
    assert [r.kind for r in effects.records] == ["alert", "retraining"]
    effects = automatic.say((1, V), (2, V))
    assert [a.data["state"] for a in effects.announcements if a.topic == "retraining.requests"] == ["approved"]


def test_a_retracted_alert_withdraws_its_request_and_may_ask_again():
    world = World()
    world.say((1, V), (2, V))
    world.say((1, S), (2, S))
    assert world.states == ["withdrawn"]
    world.say((1, V), (2, V))
    assert world.states == ["withdrawn", "requested"]


def test_after_approval_the_premise_is_marked_and_restored_when_the_alert_comes_back():
    world = World()
    world.say((1, V), (2, V))
    world.requests = {id_: act(r, "approve", by="ann", at=9) for id_, r in world.requests.items()}
    world.say((1, S), (2, S))
    assert [r.premise_retracted for r in world.requests.values()] == [True]
    world.say((1, V), (2, V))
    assert [(r.state.value, r.premise_retracted) for r in world.requests.values()] == [("approved", False)]


def test_the_heir_of_a_retracted_alert_inherits_its_request():
    world = World()
    world.say((1, V), (2, V), (3, V))
    (request,) = world.requests.values()
    effects = world.say((1, S))
    (after,) = world.requests.values()
    assert after.state == "requested"
    assert after.alert_ids == (*request.alert_ids, world.track.current.id)
    assert [w.state for w in effects.alerts] == ["retracted", "firing"]
    assert [r.body["transition"] for r in effects.records] == ["retracted", "firing", "inherited"]


def test_a_pending_heir_inherits_and_loses_the_request_when_it_vanishes():
    world = World()
    world.say((1, V), (2, V), (3, N))
    world.say((1, S))
    assert (world.states, world.track.current.state) == (["requested"], "pending")
    world.say((3, S))
    assert world.states == ["withdrawn"]


def test_the_heir_of_a_pending_heir_inherits_as_well():
    world = World()
    world.say((1, V), (2, V), (3, N))
    world.say((1, S))
    world.say((2, S), (3, V), (4, V))
    (request,) = world.requests.values()
    assert (request.state, request.alert_ids[-1]) == ("requested", world.track.current.id)


def test_an_alert_taken_back_to_pending_and_firing_again_asks_once():
    world = World()
    world.say((1, V), (2, V))
    world.say((2, N))
    world.say((3, V))
    assert world.states == ["requested"]


def test_a_second_alert_in_one_call_sees_the_first_ones_request():
    world = World(close_after=1)
    world.say((1, V), (2, V), (3, S), (4, V), (5, V))
    assert [(r.state.value, r.reason) for r in world.requests.values()] == [("requested", ""), ("declined", "in-flight")]


def test_a_withdrawn_request_starts_no_cooldown():
    world = World()
    world.say((1, V), (2, V))
    world.say((1, S), (2, S))
    world.say((5, V), (6, V))
    assert world.states == ["withdrawn", "requested"]


def test_a_stale_alert_is_told_as_resolved():
    world = World()
    world.say((1, V), (2, V))
    world.track, moves = close_stale(world.track, world.key, 40 * DAY_MS)
    effects = world.follow(moves)
    assert [(a.data["transition"], a.data["stale"]) for a in effects.announcements] == [("resolved", True)]
    assert moves[0].kind is Kind.RESOLVED


@pytest.mark.parametrize(
    ("rule", "subject", "condition", "text"),
    [
        (
            {"metric": "drift.psi", "change": None},
            Subject(column="car_value"),
            "threshold",
            f"car_value has drifted: population stability index {FIGURES}",
        ),
        (
            {"metric": "drift.psi", "change": None},
            Subject(output="score"),
            "unknown",
            "Population stability index of the score could not be judged: why, in 2 windows",
        ),
        (
            {},
            Subject(),
            "threshold",
            f"Accuracy (drop from the reference) rose above the limit: {FIGURES}",
        ),
        (
            {"metric": "quality.missing_share", "change": None},
            Subject(column="age"),
            "threshold",
            f"Missing values of age rose above the limit: {FIGURES}",
        ),
        (
            {"metric": "performance.recall", "change": None, "warn": None, "error": "< 0.5", "classes": ["a"]},
            Subject(of_class="a"),
            "threshold",
            f"Recall of class a fell below the limit: {FIGURES}",
        ),
    ],
)
def test_the_summary_is_one_plain_sentence(rule, subject, condition, text):
    world = World(**rule)
    world.key = replace(world.key, subject=subject, condition=condition)
    world.say((1, V), (2, V))
    assert summary(world.key, world.track.current, world.rule) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0, "nats", "<0.001"), (-0.0004, "1", ">-0.001"), (-0.25, "1", "-0.25"), (99.96, "1", "100"), (3.0, "panes", "3")],
)
def test_numbers_are_written_for_people(value, unit, text):
    assert number(value, unit) == text
