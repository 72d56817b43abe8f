"""`guardian worker --until-idle` ends when nothing is left to do, and not because somebody who is dead should have done it."""

from __future__ import annotations

import signal

import pytest
from trial.hands import drain, send, until, working
from trial.topics import check_topics

pytestmark = pytest.mark.slow


def test_what_a_killed_worker_had_the_lease_of_is_done_before_the_next_one_ends(world, car_loan, undisturbed):
    events = car_loan[:6_000]

    def holders() -> list[str]:
        with world.store() as store:
            return [store.holder(lease) for lease in ("relay", "files", "judge/car-loan")]

    with working(world) as crew:
        until(lambda: all(holders()), "the worker has every lease")
        crew.leave("worker-0", signal.SIGKILL)
        until(lambda: not crew.members, "it is dead")
    assert all(holders())
    send(world, events)
    drain(world)
    assert undisturbed(events).differences(world.outcome()) == []
    assert world.outcome().finals
    assert check_topics(world, 1)[0] == []
    assert not any(holders()), "who ends in good order gives its leases up"
