"""`guardian worker --until-idle` ends when nothing is left to do, and not because somebody who is dead should have done it."""

from __future__ import annotations

import time

import pytest
from trial.hands import counted, send
from trial.topics import check_topics

from guardian.engine.lease import HELD_MS

pytestmark = pytest.mark.slow

LEASES = ("relay", "files", "judge/car-loan")


def test_what_a_dead_process_has_the_lease_of_is_done_before_the_next_one_ends(world, car_loan, undisturbed):
    events = car_loan[:3_000]
    world.guardian("worker", "--until-idle")  # The files take effect.
    send(world, events)
    world.guardian("worker", "--role", "count", "--until-idle")
    assert sum(counted(world).values()) == len(events)
    with world.store() as store:
        assert [store.holder(lease) for lease in LEASES] == [""] * 3, "who ends in good order gives its leases up"
        for lease in LEASES:
            assert store.acquire(lease, "gone/1", HELD_MS, time.time_ns() // 1_000_000)  # noqa: TID251 - as a process that died now
    world.guardian("worker", "--role", "judge", "--until-idle", "--finalise")
    outcome = world.outcome()
    assert outcome.finals
    assert undisturbed(events).differences(outcome) == []
    assert check_topics(world, 0) == ([], 0)
