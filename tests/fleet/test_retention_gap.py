"""Events that the broker deleted before they were counted: audited and alerted as a gap, and counting goes on after it."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from trial.hands import counted, send
from trial.topics import read_topic

LOST = 100

pytestmark = pytest.mark.slow


def delete(world, partition: int, before: int) -> None:
    async def ask() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=world.broker)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(world.kafka.events, partition): RecordsToDelete(before_offset=before)})
        finally:
            await admin.close()

    asyncio.run(ask())


def test_what_retention_removed_uncounted_is_told_and_passed_over(world, car_loan):
    send(world, car_loan[:3_000])
    world.guardian("worker", "--until-idle")
    begin = counted(world)
    send(world, car_loan[3_000:6_000])
    delete(world, 2, begin[2] + LOST)
    delete(world, 3, begin[3])  # No event of this one is lost.
    world.guardian("worker", "--until-idle")

    gaps = [record for record in world.rows("audit") if record["kind"] == "gap"]
    assert [(gap["stream"], gap["body"]) for gap in gaps] == [
        ("intake/2", {"from_offset": begin[2], "to_offset": begin[2] + LOST, "reason": "retention"})
    ]
    (alert,) = [row for row in world.rows("alerts") if row["rule"] == "EventsLost"]
    assert alert["state"] == "firing"
    assert f"{LOST} offsets" in alert["summary"]
    (told,) = [event for event in read_topic(world, "alerts") if event["data"]["rule"] == "EventsLost"]
    assert told["data"]["id"] == alert["id"]
    assert sum(counted(world).values()) == 6_000
    with world.store() as store:
        fates = [each for partition in world.partitions(store) for each in store.load(partition).fates]
    assert sum(n for each in fates for n in each.counts.values()) == 6_000 - LOST
    assert world.tiling() == []
    world.guardian("audit", "verify")
