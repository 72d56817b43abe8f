"""The way of a retraining request: proposed by an alert, declined with a reason or requested, decided by people, run, done.

    proposed -> declined
             -> requested -> approved -> running -> completed | failed
                          -> rejected
                          -> withdrawn                (its alert was retracted before anyone approved)

Takes requests and what happened to them. Gives requests. Never: starts a training, asks anybody, reads a clock. An alert that
is retracted after approval stops nothing; it marks the request's premise as retracted, for approvers and the gate to see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

from guardian.canonical import short_id
from guardian.errors import GuardianError
from guardian.units import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.policies.model import Retrain

GUARDIAN: Final = "guardian"  # Who decides where no person does.

Action = Literal["approve", "reject", "start", "complete", "fail"]


class RequestState(StrEnum):
    """Where a request stands. Public."""

    PROPOSED = "proposed"
    DECLINED = "declined"
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Declined(StrEnum):
    """Why a proposal was declined, in the order in which the causes are looked for. Public."""

    NOT_CHAMPION = "not-champion"
    BROKEN_INPUT = "broken-input"
    IMMATURE_LABELS = "immature-labels"
    IN_FLIGHT = "in-flight"
    COOLDOWN = "cooldown"


IN_FLIGHT: Final = frozenset({RequestState.REQUESTED, RequestState.APPROVED, RequestState.RUNNING})

# What each action makes of each state it is allowed in. A result that comes without a start has run all the same.
_ACTIONS: Final[dict[Action, dict[RequestState, tuple[RequestState, ...]]]] = {
    "approve": {RequestState.REQUESTED: (RequestState.APPROVED,)},
    "reject": {RequestState.REQUESTED: (RequestState.REJECTED,)},
    "start": {RequestState.APPROVED: (RequestState.RUNNING,)},
    "complete": {
        RequestState.APPROVED: (RequestState.RUNNING, RequestState.COMPLETED),
        RequestState.RUNNING: (RequestState.COMPLETED,),
    },
    "fail": {
        RequestState.APPROVED: (RequestState.RUNNING, RequestState.FAILED),
        RequestState.RUNNING: (RequestState.FAILED,),
    },
}
_DECIDES: Final = frozenset({RequestState.APPROVED, RequestState.REJECTED})


class WrongStateError(GuardianError):
    """A retraining request cannot do that from where it stands."""

    code: ClassVar[str] = "retraining.wrong-state"


@dataclass(frozen=True, slots=True)
class RetrainContext:
    """What a proposal is weighed by, as of its due point.

    Attributes:
        in_flight: Whether a request of the same model is requested, approved or running.
        last_requested_due_at: Due point of the model's last request, UTC milliseconds, or None.
        broken_input: Whether the input data are faulty: training on them would learn the fault.
        immature_labels: Whether too many labels of the window are still missing.
        is_champion: Whether the version is the one in charge.
    """

    in_flight: bool = False
    last_requested_due_at: int | None = None
    broken_input: bool = False
    immature_labels: bool = False
    is_champion: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request's history; times are UTC milliseconds, event time where guardian acts, wall time where people do."""

    at: int
    state: RequestState
    by: str
    note: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the object printed in `history`."""
        return {"at": format_time(self.at), "state": self.state.value, "by": self.by, "note": self.note}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> Self:
        """Rebuild a step from `to_json`'s value."""
        return cls(parse_time(value["at"]), RequestState(value["state"]), value["by"], value["note"])


@dataclass(frozen=True, slots=True)
class Request:
    """One retraining request.

    Attributes:
        id: Derived from the model, the version, the first alert and the due point.
        model: The model to train again.
        version: The version whose alert asked.
        state: Where it stands.
        reason: Why it was declined, or empty.
        alert_ids: The alerts that it follows from, the latest last: an alert that replaces another inherits its request.
        proposed_at: Due point of the proposal, UTC milliseconds.
        decided_by: Who approved, rejected or declined; None while nobody has.
        decided_at: When, UTC milliseconds.
        premise_retracted: Whether its alert was retracted when it was too late to withdraw.
        history: Every step, oldest first.
    """

    id: str
    model: str
    version: str
    state: RequestState
    reason: str
    alert_ids: tuple[str, ...]
    proposed_at: int
    decided_by: str | None = None
    decided_at: int | None = None
    premise_retracted: bool = False
    history: tuple[Step, ...] = ()

    @property
    def in_flight(self) -> bool:
        """Whether no other request of the model may be made beside it."""
        return self.state in IN_FLIGHT

    def to_json(self) -> dict[str, Any]:
        """Return the row that `get retraining` prints."""
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "state": self.state.value,
            "reason": self.reason,
            "alert_ids": list(self.alert_ids),
            "proposed_at": format_time(self.proposed_at),
            "decided_by": self.decided_by,
            "decided_at": None if self.decided_at is None else format_time(self.decided_at),
            "premise_retracted": self.premise_retracted,
            "history": [step.to_json() for step in self.history],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a request from `to_json`'s value."""
        decided_at = value["decided_at"]
        changed = {
            "state": RequestState(value["state"]),
            "alert_ids": tuple(value["alert_ids"]),
            "proposed_at": parse_time(value["proposed_at"]),
            "decided_at": None if decided_at is None else parse_time(decided_at),
            "history": tuple(Step.from_json(step) for step in value["history"]),
        }
        return cls(**{**value, **changed})


def propose(alert_id: str, model: str, version: str, *, retrain: Retrain, at: int, context: RetrainContext) -> Request:
    """Propose a retraining for an alert that fires, and weigh it: declined with a reason, requested, or approved by the policy.

    Args:
        alert_id: The alert.
        model: The model.
        version: The version that the alert is about.
        retrain: What the rule says.
        at: The due point; cooldown runs on due points, so that a replay declines what the first run declined.
        context: What it is weighed by.
    """
    id_ = short_id("retraining", model, version, alert_id, str(at))
    proposed = _moved(Request(id_, model, version, RequestState.PROPOSED, "", (alert_id,), at), RequestState.PROPOSED, at)
    why = _declined(retrain, at, context)
    if why is not None:
        return replace(
            _moved(proposed, RequestState.DECLINED, at, note=why), reason=why.value, decided_by=GUARDIAN, decided_at=at
        )
    requested = _moved(proposed, RequestState.REQUESTED, at)
    if retrain.approval == "required":
        return requested
    approved = _moved(requested, RequestState.APPROVED, at, note="approval: auto")
    return replace(approved, decided_by=GUARDIAN, decided_at=at)


def act(request: Request, action: Action, *, by: str, at: int, note: str = "") -> Request:
    """Do what a person or a training system says.

    Args:
        request: The request.
        action: approve, reject, start, complete or fail.
        by: Who says so.
        at: When, wall clock, UTC milliseconds.
        note: Why, in their words.

    Raises WrongStateError, which names the actions that are allowed.
    """
    path = _ACTIONS[action].get(request.state)
    if path is None:
        allowed = allowed_actions(request)
        raise WrongStateError(
            f"request {request.id} is {request.state.value} and cannot {action}",
            hint=f"allowed now: {', '.join(allowed)}" if allowed else "nothing more can be done with it",
        )
    for state in path:
        request = _moved(request, state, at, by=by, note=note)
    return replace(request, decided_by=by, decided_at=at) if request.state in _DECIDES else request


def allowed_actions(request: Request) -> tuple[Action, ...]:
    """Return what people may do with a request now."""
    return tuple(action for action, allowed in _ACTIONS.items() if request.state in allowed)


def alert_retracted(request: Request, at: int) -> Request:
    """Say that the alert a request follows from never was: withdraw it, or mark it when somebody has already approved."""
    match request.state:
        case RequestState.PROPOSED | RequestState.REQUESTED:
            return _moved(request, RequestState.WITHDRAWN, at, note="the alert was retracted")
        case RequestState.APPROVED | RequestState.RUNNING | RequestState.COMPLETED | RequestState.FAILED:
            return replace(request, premise_retracted=True)
        case _:
            return request


def inherit(request: Request, new_alert_id: str) -> Request:
    """Hand a request on to the alert that replaces the one it follows from, or that came back; its premise stands again."""
    ids = request.alert_ids if new_alert_id in request.alert_ids else (*request.alert_ids, new_alert_id)
    return replace(request, alert_ids=ids, premise_retracted=False)


def _declined(retrain: Retrain, at: int, context: RetrainContext) -> Declined | None:
    last = context.last_requested_due_at
    causes = (
        (Declined.NOT_CHAMPION, not context.is_champion),
        (Declined.BROKEN_INPUT, context.broken_input),
        (Declined.IMMATURE_LABELS, context.immature_labels),
        (Declined.IN_FLIGHT, context.in_flight),
        (Declined.COOLDOWN, last is not None and at - last < retrain.cooldown),
    )
    return next((cause for cause, holds in causes if holds), None)


def _moved(request: Request, state: RequestState, at: int, *, by: str = GUARDIAN, note: str = "") -> Request:
    return replace(request, state=state, history=(*request.history, Step(at, state, by, str(note))))
