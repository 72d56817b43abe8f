"""An operator's decision on a retraining request: a positioned, audited record, written against where the log stands.

It raises the catalog number, so that an engine which counts beside it is refused once, loads what was decided, and counts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.canonical import short_id
from guardian.decisions.retraining import Request, act
from guardian.effects import PositionedWrite, Record
from guardian.engine.fates import FencedError
from guardian.engine.judging import seat_of
from guardian.engine.land import land
from guardian.errors import NotFoundError
from guardian.pipeline.consequences import request_effects

if TYPE_CHECKING:
    from guardian.decisions.retraining import Action
    from guardian.engine.ports import Partition, Store

TRIES_MAX: Final = 20  # An engine at work moves the position between two tries.


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator says: what to do, who says so, why, and when (wall clock, UTC milliseconds)."""

    action: Action
    by: str
    note: str
    at: int


def decide(store: Store, inbox: Partition, request_id: str, decision: Decision) -> Request:
    """Do what an operator says with a request, and return it as it is then.

    It is written where its model is judged: at the seat of a fleet's judge, or in the `inbox` of an embedded engine.

    Raises NotFoundError, WrongStateError with the allowed actions, or FencedError when the engine kept moving.
    """
    action, by, note, at = decision.action, decision.by, decision.note, decision.at
    for _ in range(TRIES_MAX):
        found = _find(store, request_id)
        seat = seat_of(found.model)
        claim = store.position(seat if any(store.positioned(seat)) else inbox)
        request = act(found, action, by=by, at=at, note=note)
        effects = request_effects(request, action, at=at)
        body = {"request": request.id, "model": request.model, "action": action, "by": by, "note": note, "at": at}
        effects.positioned.append(PositionedWrite("decision", claim.next_offset, body))
        id_ = short_id("decision", request.id, action, by, str(at))
        effects.records.append(Record("control", "decision", id_, request.model, {**body, "offset": claim.next_offset}))
        try:
            land(store, claim, claim.next_offset, effects, at)
        except FencedError:
            continue
        return request
    raise FencedError(f"the engine moved on during each of {TRIES_MAX} tries", hint="try again")


def _find(store: Store, request_id: str) -> Request:
    found = [row for row in store.requests() if row["id"].startswith(request_id)]
    if len(found) != 1:
        what = "no retraining request has" if not found else f"{len(found)} retraining requests have"
        raise NotFoundError(f"{what} an id that starts with {request_id!r}", hint="guardian retrain list shows them")
    return Request.from_json(found[0])
