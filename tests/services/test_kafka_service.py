"""Kafka as tests get it: real, durable over a kill, silent while it is paused, and gone afterwards."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from services.process import ServiceError, is_alive

from services.kafka import Broker, Kafka


async def topics(broker: Broker, *, timeout_ms: int = 10_000) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap, request_timeout_ms=timeout_ms)
    try:
        await admin.start()
        return await admin.list_topics()
    finally:
        await admin.close()


async def write(broker: Broker, topic: str, values: list[bytes]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def read(broker: Broker, topic: str, count: int) -> list[tuple[int, bytes]]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker.bootstrap, group_id=topic, auto_offset_reset="earliest")
    async with consumer:
        return [(record.offset, record.value) for record in [await consumer.getone() for _ in range(count)]]


def test_a_record_is_written_and_read_by_a_group(kafka: Broker, kafka_prefix: str) -> None:
    topic = f"{kafka_prefix}.events"
    asyncio.run(write(kafka, topic, [b"seven"]))
    assert asyncio.run(read(kafka, topic, 1)) == [(0, b"seven")]
    kafka.delete_topics(kafka_prefix)
    assert topic not in asyncio.run(topics(kafka))


def test_a_topic_is_not_made_by_asking_for_it(kafka: Broker, kafka_prefix: str) -> None:
    async def ask() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, request_timeout_ms=1_000) as producer:
            await producer.send_and_wait(f"{kafka_prefix}.nobody-made-it", b"")

    with pytest.raises(KafkaError):
        asyncio.run(ask())
    assert not [name for name in asyncio.run(topics(kafka)) if name.startswith(kafka_prefix)]


def test_what_was_acknowledged_outlives_a_kill(own_kafka: Kafka) -> None:
    asyncio.run(write(own_kafka, "kept", [b"one", b"two"]))
    bootstrap, pid = own_kafka.bootstrap, own_kafka.pid
    own_kafka.kill()
    assert not is_alive(pid)
    with pytest.raises(KafkaError):
        asyncio.run(topics(own_kafka))
    own_kafka.restart()
    assert (own_kafka.bootstrap, own_kafka.pid != pid) == (bootstrap, True)
    assert asyncio.run(read(own_kafka, "kept", 2)) == [(0, b"one"), (1, b"two")]
    own_kafka.restart()
    assert "kept" in asyncio.run(topics(own_kafka))


def test_a_paused_broker_is_silent_goes_on_and_can_be_ended(own_kafka: Kafka) -> None:
    own_kafka.pause()
    with pytest.raises((KafkaError, TimeoutError)):
        asyncio.run(topics(own_kafka, timeout_ms=500))
    own_kafka.resume()
    assert asyncio.run(topics(own_kafka)) == []
    own_kafka.pause()
    pid = own_kafka.pid
    own_kafka.close()
    assert not is_alive(pid)
    assert not own_kafka.folder.exists()
    with pytest.raises(ServiceError, match="is not running"):
        _ = own_kafka.pid


def test_a_broker_outlives_the_thread_that_starts_it(own_kafka: Kafka) -> None:
    own_kafka.stop()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(own_kafka.start).result()
    assert asyncio.run(topics(own_kafka)) == []
