"""Another topic in the place of the one that was counted: its partitions halt, which is told, until they are resumed."""

from __future__ import annotations

import pytest
from trial.hands import counted, send, statuses, until, working
from trial.topics import read_topic

from guardian.adapters.kafka import admin

pytestmark = pytest.mark.slow

FIRST = 2_000
SHORTER, LONGER = slice(10_000, 11_000), slice(10_000, 16_000)
PARTITIONS = 4


def replace(world, events) -> None:
    """Delete the topic of events, make it anew, and write other events."""
    admin.delete_topics(world.kafka, [world.kafka.events])
    until(lambda: world.kafka.events not in admin.topics(world.kafka), "the topic is gone")
    world.guardian("topics", "create")
    send(world, events)


@pytest.mark.parametrize(
    ("other", "running"),
    [(SHORTER, False), (LONGER, True)],
    ids=["shorter, while stopped", "longer, while running"],
)
def test_a_topic_made_anew_halts_its_partitions_until_they_are_resumed(world, car_loan, other, running):
    send(world, car_loan[:FIRST])
    if running:
        with working(world):
            until(lambda: sum(counted(world).values()) == FIRST, "all is counted")
            begin = counted(world)
            replace(world, car_loan[other])
            until(lambda: set(statuses(world).values()) == {"halted"}, f"all are halted, not {statuses(world)}")
    else:
        world.guardian("worker", "--until-idle")
        begin = counted(world)
        replace(world, car_loan[other])
        with working(world):
            until(lambda: set(statuses(world).values()) == {"halted"}, f"all are halted, not {statuses(world)}")
            until(lambda: len(told(world, "firing")) == PARTITIONS, "it was told")
    assert counted(world) == begin, "nothing was read of the other topic"
    records = [record for record in world.rows("audit") if record["kind"] == "halted"]
    assert sorted(record["stream"] for record in records) == [f"intake/{number}" for number in range(PARTITIONS)]
    assert {record["body"]["offset"] for record in records} == set(begin.values())
    alerts = [row for row in world.rows("alerts") if row["rule"] == "LogHalted"]
    assert [row["state"] for row in alerts] == ["firing"] * PARTITIONS
    assert world.tiling() == []

    if other == SHORTER:
        send(world, car_loan[LONGER.start + 1_000 : LONGER.stop])
    ends = {number: extent.end for number, extent in admin.extents(world.kafka, world.kafka.events).items()}
    for number in range(PARTITIONS):
        world.guardian("topics", "resume", str(number), "--note", "the topic was made anew", "--by", "operator")
    world.guardian("worker", "--until-idle")
    assert counted(world) == ends
    assert world.tiling() == []
    assert {row["state"] for row in world.rows("alerts", everything=True) if row["rule"] == "LogHalted"} == {"resolved"}
    assert {event["data"]["id"] for event in told(world, "resolved")} == {row["id"] for row in alerts}
    world.guardian("audit", "verify")


def told(world, state: str) -> list[dict]:
    return [
        event for event in read_topic(world, "alerts") if event["data"]["rule"] == "LogHalted" and event["data"]["state"] == state
    ]
