"""The retraining state machine: every arrow, every arrow that is not, and the way back from JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.decisions.retraining import (
    Declined,
    Request,
    RequestState,
    RetrainContext,
    WrongStateError,
    act,
    alert_retracted,
    allowed_actions,
    inherit,
    propose,
)
from guardian.policies.model import Retrain
from guardian.units import DAY_MS

ACTIONS = ("approve", "reject", "start", "complete", "fail")
AT = 100 * DAY_MS


def proposed(approval: str = "required", at: int = AT, **context) -> Request:
    retrain = Retrain(approval=approval, cooldown=14 * DAY_MS)
    return propose("alert", "m", "1", retrain=retrain, at=at, context=RetrainContext(**context))


def through(*actions: str) -> Request:
    request = proposed()
    for i, action in enumerate(actions):
        request = act(request, action, by="ann", at=AT + 1 + i, note="because")
    return request


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"is_champion": False, "broken_input": True}, Declined.NOT_CHAMPION),
        ({"broken_input": True, "immature_labels": True}, Declined.BROKEN_INPUT),
        ({"immature_labels": True, "in_flight": True}, Declined.IMMATURE_LABELS),
        ({"in_flight": True, "last_requested_due_at": AT}, Declined.IN_FLIGHT),
        ({"last_requested_due_at": AT - 14 * DAY_MS + 1}, Declined.COOLDOWN),
    ],
)
def test_a_proposal_is_declined_by_the_first_cause_that_holds(context, reason):
    request = proposed(**context)
    assert (request.state, request.reason, request.in_flight) == ("declined", reason, False)
    assert [s.state.value for s in request.history] == ["proposed", "declined"]


def test_a_cooldown_ends_on_its_due_point():
    assert proposed(last_requested_due_at=AT - 14 * DAY_MS).state == "requested"


def test_a_person_must_approve_unless_the_policy_does():
    asked, automatic = proposed(), proposed("auto")
    assert (asked.state, asked.decided_by) == ("requested", None)
    assert (automatic.state, automatic.decided_by, automatic.decided_at) == ("approved", "guardian", AT)
    assert [s.state.value for s in automatic.history] == ["proposed", "requested", "approved"]


@pytest.mark.parametrize(
    ("actions", "state"),
    [
        (("approve",), "approved"),
        (("reject",), "rejected"),
        (("approve", "start"), "running"),
        (("approve", "start", "complete"), "completed"),
        (("approve", "start", "fail"), "failed"),
        (("approve", "complete"), "completed"),
        (("approve", "fail"), "failed"),
    ],
)
def test_the_ways_through(actions, state):
    request = through(*actions)
    assert request.state == state
    assert (request.decided_by, request.decided_at) == ("ann", AT + 1)
    assert request.history[-1].note == "because"


def test_a_result_without_a_start_has_run_all_the_same():
    assert [s.state.value for s in through("approve", "complete").history][-3:] == ["approved", "running", "completed"]


EVERY_STATE = {
    "declined": proposed(in_flight=True),
    "requested": proposed(),
    "approved": through("approve"),
    "rejected": through("reject"),
    "running": through("approve", "start"),
    "completed": through("approve", "complete"),
    "failed": through("approve", "fail"),
    "withdrawn": alert_retracted(proposed(), AT),
}
ALLOWED = {"requested": {"approve", "reject"}, "approved": {"start", "complete", "fail"}, "running": {"complete", "fail"}}


@pytest.mark.parametrize("state", EVERY_STATE)
@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_else_is_allowed_and_the_error_says_what_is(state, action):
    request = EVERY_STATE[state]
    assert request.state == state
    assert set(allowed_actions(request)) == ALLOWED.get(state, set())
    if action in allowed_actions(request):
        act(request, action, by="ann", at=AT)
        return
    with pytest.raises(WrongStateError, match=r"retraining\.wrong-state") as caught:
        act(request, action, by="ann", at=AT)
    assert all(name in caught.value.hint for name in ALLOWED.get(state, {"nothing"}))


@pytest.mark.parametrize(
    ("state", "after", "marked"),
    [
        ("requested", "withdrawn", False),
        ("approved", "approved", True),
        ("running", "running", True),
        ("completed", "completed", True),
        ("failed", "failed", True),
        ("declined", "declined", False),
        ("rejected", "rejected", False),
        ("withdrawn", "withdrawn", False),
    ],
)
def test_a_retracted_alert_withdraws_before_approval_and_marks_after(state, after, marked):
    request = alert_retracted(EVERY_STATE[state], AT + 9)
    assert (request.state, request.premise_retracted) == (after, marked)


def test_an_heir_is_added_once_and_restores_the_premise():
    request = inherit(alert_retracted(through("approve"), AT), "heir")
    assert (request.alert_ids, request.premise_retracted) == (("alert", "heir"), False)
    assert inherit(request, "heir") == request


@pytest.mark.parametrize("state", EVERY_STATE)
def test_json_and_back(state):
    request = EVERY_STATE[state]
    assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_an_id_is_of_the_alert_and_the_due_point():
    assert proposed().id == proposed().id
    assert proposed(at=AT + 1).id != proposed().id


@given(st.lists(st.sampled_from([*ACTIONS, "retract"]), max_size=12))
def test_history_grows_with_every_change_of_state_and_ends_at_the_state(moves):
    request = proposed()
    for move in moves:
        before = request
        try:
            request = alert_retracted(request, AT) if move == "retract" else act(request, move, by="ann", at=AT)
        except WrongStateError:
            continue
        assert request.history[: len(before.history)] == before.history
        assert (request.state == before.state) == (request.history == before.history)
        assert request.history[-1].state is request.state
    assert not (request.state in {RequestState.REJECTED, RequestState.WITHDRAWN} and request.in_flight)
