"""A producer with transactions: what it committed is counted once, what it aborted never, and its markers are no gap."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from trial.hands import drain

from guardian.adapters.kafka.log import CONTENT_TYPE, key_of
from guardian.adapters.kafka.partitioning import PARTITIONERS

pytestmark = pytest.mark.slow

EVENTS = 6_000
EVERY = 500
PARTITIONS = 4


async def write(world, events, aborted) -> None:
    """Write events in transactions; after each, one with other events is taken back."""
    producer = AIOKafkaProducer(bootstrap_servers=world.broker, transactional_id=world.prefix)
    async with producer:
        for begin in range(0, len(events), EVERY):
            for part, keep in ((events[begin : begin + EVERY], True), (aborted[begin // 10 : begin // 10 + EVERY // 10], False)):
                await producer.begin_transaction()
                for event in part:
                    key = key_of(event)
                    place = PARTITIONERS["murmur2"](key, PARTITIONS)
                    await producer.send(world.kafka.events, event, key=key, partition=place, headers=list(CONTENT_TYPE))
                await (producer.commit_transaction() if keep else producer.abort_transaction())


def test_what_was_committed_is_counted_and_nothing_else(world, car_loan, undisturbed):
    events = car_loan[:EVENTS]
    asyncio.run(write(world, events, car_loan[EVENTS:]))
    drain(world)
    expected = undisturbed(events)
    outcome = world.outcome()
    assert expected.differences(outcome) == []
    assert outcome.fates == expected.fates
    assert world.tiling() == []
    world.guardian("audit", "verify")
    gaps = [record for record in world.rows("audit") if record["kind"] == "gap"]
    assert gaps, "what was aborted leaves holes that are longer than a marker"
    assert {gap["body"]["reason"] for gap in gaps} == {"hole"}
    assert all(gap["body"]["to_offset"] - gap["body"]["from_offset"] > 1 for gap in gaps)


def test_a_worker_comes_to_an_end_when_the_log_ends_with_a_marker(world, car_loan):
    asyncio.run(write(world, car_loan[:EVERY], []))
    world.guardian("worker", "--until-idle")
    assert world.tiling() == []
    with world.store() as store:
        fates = [each for partition in world.partitions(store) for each in store.load(partition).fates]
    assert sum(n for each in fates for n in each.counts.values()) == EVERY
