"""How far a partition is to be counted when its log ends with what nobody is given to read."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from guardian.adapters.kafka import admin
from guardian.adapters.kafka.connection import Broker


def test_marks_and_what_was_taken_back_are_not_waited_for(kafka, kafka_prefix):
    broker = Broker(kafka.bootstrap, group=kafka_prefix, prefix=kafka_prefix)
    admin.create_topics(broker, [admin.NewTopicSpec(broker.events, 3, 1)])

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=kafka_prefix) as producer:
            for partition, keep in ((0, True), (0, False), (1, True)):
                async with producer.transaction() if keep else _taken_back(producer):
                    for value in (b"a", b"b"):
                        await producer.send(broker.events, value, partition=partition)

    asyncio.run(write())
    ends = {number: extent.end for number, extent in admin.extents(broker, broker.events).items()}
    assert ends == {0: 6, 1: 3, 2: 0}
    assert admin.ends_to_count(broker, broker.events, {}) == ends
    assert admin.ends_to_count(broker, broker.events, {0: 2, 1: 2, 2: 0}) == {0: 2, 1: 2, 2: 0}
    assert admin.ends_to_count(broker, broker.events, {0: 1, 1: 0}) == ends


class _taken_back:  # noqa: N801 - used as a function
    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def __aenter__(self) -> None:
        await self._producer.begin_transaction()

    async def __aexit__(self, *_: object) -> None:
        await self._producer.abort_transaction()
