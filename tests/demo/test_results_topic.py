"""A trainer answers on a topic: the approved request is completed, and an answer that comes twice changes nothing."""

from __future__ import annotations

import msgspec
import pytest
from trial.hands import until, working, write

from guardian.adapters.kafka.producer import Outgoing
from guardian.engine.topics import COMPLETED_TYPE

pytestmark = pytest.mark.slow


def answer(request: dict, id_: str, outcome: str = "completed") -> bytes:
    data = {"request": request["id"], "model": request["model"], "outcome": outcome, "by": "trainer-7", "note": "model 2"}
    event = {"specversion": "1.0", "type": COMPLETED_TYPE, "id": id_, "source": "/trainer", "time": "2020-01-01T00:00:00Z"}
    return msgspec.json.encode({**event, "data": data})


def test_an_approved_request_that_a_trainer_answers_is_completed_once(fleet):
    world = fleet.world
    (request,) = world.rows("retraining")
    assert request["state"] == "requested"
    world.guardian("retrain", "approve", request["id"][:8], "--by", "risk")

    def state() -> str:
        return world.rows("retraining")[0]["state"]

    def decisions() -> list[tuple[str, str]]:
        bodies = [record["body"] for record in world.rows("audit", model=request["model"]) if record["kind"] == "decision"]
        return [(body["action"], body["by"]) for body in bodies if body["request"] == request["id"]]

    with working(world):
        write(world, [Outgoing(None, answer(request, "1"))], "retraining.results")
        until(lambda: state() == "completed", "the request is completed")
        again = [Outgoing(None, answer(request, "1")), Outgoing(None, answer(request, "2", "failed")), Outgoing(None, b"{")]
        write(world, again, "retraining.results")
        refused = until(lambda: (found := refusals(world)) and len(found) == 3 and found, "three are refused")
    assert state() == "completed"
    assert decisions() == [("approve", "risk"), ("complete", "trainer-7")]
    assert all(record["body"]["why"] for record in refused)


def refusals(world) -> list[dict]:
    return [record for record in world.rows("audit") if record["kind"] == "result-refused"]
