"""What follows from an alert's transitions: rows, audit records, announcements, and the retraining that a rule asks for.

Takes transitions of one alert identity at one due point. Gives effects and the requests as they stand after it. Never: performs
any of it. Ids are derived from what is said, so that a replay says the same under the same id. A pending alert is recorded and
not announced; one that vanishes leaves no trace; one that is extended changes its row alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardian.canonical import digest_of, short_id
from guardian.decisions.alerts import Kind
from guardian.decisions.retraining import RequestState, RetrainContext, alert_retracted, inherit, propose
from guardian.effects import AlertWrite, Announcement, Effects, Record, RequestWrite
from guardian.pipeline.wording import rendered_annotations
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardian.decisions.alerts import Transition
    from guardian.decisions.episodes import AlertKey, Episode
    from guardian.decisions.retraining import Request
    from guardian.policies.model import PolicyFile, Rule

ALERT_TOPIC: Final = "alerts"
ALERT_TYPE: Final = "io.guardian.alert.v1"
RETRAINING_TOPIC: Final = "retraining.requests"
RETRAINING_TYPE: Final = "io.guardian.retraining.requested.v1"

_OPENED: Final = frozenset({Kind.FIRING, Kind.RAISED_LATE})
_GONE: Final = frozenset({Kind.RETRACTED, Kind.VANISHED})
_ROW_ALONE: Final = frozenset({Kind.EXTENDED, Kind.VANISHED})
_TOLD_TRAINERS: Final = frozenset({RequestState.REQUESTED, RequestState.APPROVED})


def consequences(  # noqa: PLR0913 - one due point's facts
    transitions: Sequence[Transition],
    *,
    key: AlertKey,
    rule: Rule,
    policy: PolicyFile,
    due_at: int,
    requests: Mapping[str, Request],
    context: RetrainContext,
) -> tuple[Effects, Mapping[str, Request]]:
    """Return what is to be done about `transitions`, and every request as it stands afterwards, by id.

    Args:
        transitions: What `refold` or `close_stale` returned.
        key: The alert's identity.
        rule: The rule.
        policy: The policy that the rule is of; in mode `observe` there are no consequences and this is not called.
        due_at: The due point, UTC milliseconds of the model's clock.
        requests: The model's requests by id: all whose alerts may still change.
        context: What a proposal is weighed by; what this very call requests is added to it.
    """
    effects = Effects()
    book = dict(requests)
    for transition in transitions:
        row = alert_row(key, transition.episode, rule, policy)
        _tell(effects, transition, row, key, due_at)
    heirs = {old: t.episode.id for t in transitions if t.kind not in _GONE for old in t.episode.replaces}
    for transition in transitions:
        if transition.kind in _GONE:
            _without_premise(effects, book, transition.episode, heirs, due_at)
        elif transition.kind in _OPENED and rule.retrain and key.condition == "threshold" and key.severity == rule.retrain.on:
            _ask(effects, book, transition.episode, key, rule, due_at, context)
    return effects, book


def alert_row(key: AlertKey, episode: Episode, rule: Rule, policy: PolicyFile) -> dict[str, Any]:
    """Return the row that `get alerts` prints."""
    notes = rendered_annotations(key, episode, rule)
    return {
        "id": episode.id,
        "model": key.model,
        "version": key.version,
        "policy": key.policy,
        "rule": key.rule,
        "severity": key.severity,
        "metric": rule.metric,
        "subject": key.subject.to_json(),
        "condition": key.condition,
        "state": episode.state.value,
        "started_at": _time(episode.started_at),
        "ended_at": _time(episode.ended_at),
        "first_window": _window(episode.first_window),
        "last_window": _window(episode.last_window),
        "value": episode.value,
        "interval": None if episode.low is None or episode.high is None else [episode.low, episode.high],
        "threshold": episode.threshold,
        "n": episode.n,
        "reason": episode.reason,
        "summary": notes["summary"],
        "replaces": list(episode.replaces),
        "stale": episode.stale,
        "labels": {**policy.metadata.labels, **rule.labels},
        "annotations": notes,
    }


def request_effects(request: Request, transition: str, *, at: int) -> Effects:
    """Return what a changed request wants done: its row, its record, and word to trainers while it is requested or approved.

    Args:
        request: The request as it is now.
        transition: What happened, e.g. `proposed`, `inherited`, `approve`.
        at: When, UTC milliseconds.
    """
    row = request.to_json()
    body = {**row, "transition": transition, "at": format_time(at)}
    id_ = short_id("retraining", request.id, transition, str(at), digest_of(row))
    effects = Effects()
    effects.requests.append(
        RequestWrite(request.id, request.model, request.version, request.state.value, request.proposed_at, row)
    )
    effects.records.append(Record(f"decisions/{request.model}", "retraining", id_, request.model, body))
    if request.state in _TOLD_TRAINERS:
        subject = f"{request.model}/{request.version}"
        said = Announcement(RETRAINING_TOPIC, request.model, RETRAINING_TYPE, id_, subject, at, body)
        effects.announcements.append(said)
    return effects


def _tell(effects: Effects, transition: Transition, row: Mapping[str, Any], key: AlertKey, due_at: int) -> None:
    episode, kind = transition.episode, transition.kind
    effects.alerts.append(
        AlertWrite(
            id=episode.id,
            model=key.model,
            version=key.version,
            policy=key.policy,
            rule=key.rule,
            severity=key.severity,
            subject=key.subject.key,
            state=episode.state.value,
            started_at=episode.started_at,
            first_window=episode.first_window[1],
            row=row,
            gone=kind is Kind.VANISHED,
        )
    )
    if kind in _ROW_ALONE:
        return
    id_ = short_id("alert", episode.id, kind, str(due_at), digest_of(episode.to_json()))
    body = {**row, "transition": kind.value, "due_at": format_time(due_at)}
    effects.records.append(Record(f"decisions/{key.model}", "alert", id_, key.model, body))
    if kind is not Kind.PENDING:
        about = "/".join((key.model, key.version, key.policy, key.rule, key.severity, key.subject.key)).rstrip("/")
        effects.announcements.append(Announcement(ALERT_TOPIC, key.model, ALERT_TYPE, id_, about, due_at, body))


def _without_premise(effects: Effects, book: dict[str, Request], gone: Episode, heirs: Mapping[str, str], due_at: int) -> None:
    """Hand the requests of an alert that is no more on to its heir, or withdraw or mark them."""
    for request in [r for r in book.values() if r.alert_ids[-1] == gone.id]:
        heir = next((heirs[old] for old in reversed(request.alert_ids) if old in heirs), None)
        after = alert_retracted(request, due_at) if heir is None else inherit(request, heir)
        _keep(effects, book, after, "alert-retracted" if heir is None else "inherited", due_at)


def _ask(  # noqa: PLR0913 - one proposal's facts
    effects: Effects, book: dict[str, Request], episode: Episode, key: AlertKey, rule: Rule, due_at: int, context: RetrainContext
) -> None:
    """Propose a retraining once for an alert; one that came back after its request was withdrawn asks again."""
    if rule.retrain is None:
        return
    standing = [r for r in book.values() if episode.id in r.alert_ids and r.state is not RequestState.WITHDRAWN]
    for request in standing:
        _keep(effects, book, inherit(request, episode.id), "inherited", due_at)
    if standing:
        return
    weighed = _with_requests(context, book)
    request = propose(episode.id, key.model, key.version, retrain=rule.retrain, at=due_at, context=weighed)
    _keep(effects, book, request, "proposed", due_at)


def _with_requests(context: RetrainContext, book: Mapping[str, Request]) -> RetrainContext:
    # A withdrawn request rested on an alert that never was: it must not silence one that is.
    asked = [r.proposed_at for r in book.values() if r.state not in {RequestState.DECLINED, RequestState.WITHDRAWN}]
    last = max((at for at in (*asked, context.last_requested_due_at) if at is not None), default=None)
    in_flight = context.in_flight or any(r.in_flight for r in book.values())
    return RetrainContext(in_flight, last, context.broken_input, context.immature_labels, context.is_champion)


def _keep(effects: Effects, book: dict[str, Request], request: Request, transition: str, due_at: int) -> None:
    if book.get(request.id) != request:
        book[request.id] = request
        effects.extend(request_effects(request, transition, at=due_at))


def _window(window: tuple[int, int]) -> dict[str, str]:
    return {"start": format_time(window[0]), "end": format_time(window[1])}


def _time(at: int | None) -> str | None:
    return None if at is None else format_time(at)
