"""What a trainer answered: the end of a training, as a decision on its request.

An answer may come more than once, and late: a request that has ended already is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from guardian.canonical import digest, short_id
from guardian.decisions.retraining import WrongStateError
from guardian.effects import Record
from guardian.engine.decide import Decision, decide
from guardian.engine.judging import seat_of
from guardian.engine.topics import COMPLETED_TYPE
from guardian.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardian.decisions.retraining import Action
    from guardian.engine.ports import Store

TEXT_MAX: Final = 1_000  # Characters of a name or note that are kept.
ACTIONS: Final[dict[str, Action]] = {"completed": "complete", "failed": "fail"}


class _Data(msgspec.Struct):
    request: str
    model: str
    outcome: Literal["completed", "failed"]
    by: str = "trainer"
    note: str = ""


class _Answer(msgspec.Struct):
    type: str
    id: str
    data: _Data


_decode: Final = msgspec.json.Decoder(_Answer).decode


def take_result(store: Store, value: bytes, now: Callable[[], int], say: Callable[[str], None]) -> None:
    """Do what an answer says; one that cannot be followed is recorded in the audit log with its reason.

    Raises StoreBusyError, after which the same answer is to be taken again.
    """
    try:
        answer = _decode(value)
        if answer.type != COMPLETED_TYPE:
            raise msgspec.ValidationError(f"its type is {answer.type!r:.100}, not {COMPLETED_TYPE}")
        data = answer.data
        _check_known(store, data)
        decision = Decision(ACTIONS[data.outcome], data.by[:TEXT_MAX], data.note[:TEXT_MAX], now())
        decide(store, seat_of(data.model), data.request, decision)  # A fleet's request is always decided at its seat.
        say(f"retraining of {data.model} {data.outcome}: request {data.request}")
    except (msgspec.DecodeError, UnicodeDecodeError, NotFoundError, WrongStateError) as error:
        _refuse(store, value, str(error), now())
        say(f"an answer of a trainer is not followed: {error}")


def _check_known(store: Store, data: _Data) -> None:
    """Raise NotFoundError unless there is the request: a machine names it whole, where a person may write its beginning."""
    if not any(row["id"] == data.request and row["model"] == data.model for row in store.requests()):
        hint = "answer with data.id and data.model of the request"
        raise NotFoundError(f"{data.model} has no request {data.request!r:.100}", hint=hint)


def _refuse(store: Store, value: bytes, why: str, at: int) -> None:
    body = {"sha256": digest(value), "why": why[:TEXT_MAX]}
    record = Record("control", "result-refused", short_id("result-refused", body["sha256"], why, str(at)), "", body)
    with store.begin() as transaction:
        transaction.append_records([record], at)
