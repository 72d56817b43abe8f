"""What a real broker has after a send, and what is said when it has not."""

from __future__ import annotations

import asyncio
import threading

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from guardian.adapters.clock import wall_clock
from guardian.adapters.kafka import admin
from guardian.adapters.kafka.connection import Broker, BrokerRefusedError, BrokerUnreachableError
from guardian.adapters.kafka.partitioning import by_crc32, by_murmur2
from guardian.adapters.kafka.producer import Outgoing, Producer

PARTITIONS = 3


@pytest.fixture
def broker(kafka, kafka_prefix: str) -> Broker:
    described = Broker(kafka.bootstrap, group=kafka_prefix, prefix=kafka_prefix)
    admin.create_topics(described, [admin.NewTopicSpec(described.events, PARTITIONS, 1)])
    return described


@pytest.fixture
def producer(broker: Broker):
    made = Producer(broker)
    yield made
    made.close()


def read(broker: Broker) -> dict[int, list]:
    async def poll() -> dict[int, list]:
        places = [TopicPartition(broker.events, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(places)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(places)
            found: dict[int, list] = {place.partition: [] for place in places}
            while any(len(found[place.partition]) < end for place, end in ends.items()):
                for place, records in (await consumer.getmany(timeout_ms=500)).items():
                    found[place.partition] += records
            return found
        finally:
            await consumer.stop()

    return asyncio.run(poll())


def test_every_record_is_where_the_answer_says_in_the_order_sent(broker: Broker, producer: Producer) -> None:
    now = wall_clock()  # What is older than the retention might be gone before it is read.
    sent = [Outgoing(b"key %d" % number, b"%d" % number * 400, [("h", b"%d" % number)], now + number) for number in range(5_000)]
    placed = producer.send(broker.events, sent) + producer.send(broker.events, sent[:10])
    found = read(broker)
    for record, (partition, offset) in zip(sent + sent[:10], placed, strict=True):
        there = found[partition][offset]
        assert (there.key, there.value, list(there.headers), there.timestamp) == (
            record.key,
            record.value,
            list(record.headers),
            record.timestamp_ms,
        )
        assert partition == by_murmur2(record.key, PARTITIONS)
    for number in range(PARTITIONS):
        offsets = [offset for partition, offset in placed if partition == number]
        assert offsets == sorted(offsets)
    assert sum(map(len, found.values())) == len(placed)


def test_a_partition_is_the_record_s_own_or_chosen_by_name(broker: Broker) -> None:
    producer = Producer(broker, partitioner="crc32")
    keys = [b"%d" % number for number in range(20)]
    placed = producer.send(broker.events, [Outgoing(key, b"v") for key in keys])
    assert [partition for partition, _ in placed] == [by_crc32(key, PARTITIONS) for key in keys]
    assert [partition for partition, _ in producer.send(broker.events, [Outgoing(b"k", b"v", partition=2)])] == [2]
    assert {partition for partition, _ in producer.send(broker.events, [Outgoing(None, b"v")] * PARTITIONS)} == {0, 1, 2}
    assert producer.partitions(broker.events) == PARTITIONS
    assert producer.send(broker.events, []) == []
    producer.close()
    producer.close()


def test_callers_in_many_threads_lose_nothing(broker: Broker, producer: Producer) -> None:
    placed: list[tuple[int, int]] = []

    def send(name: int) -> None:
        for number in range(20):
            placed.extend(producer.send(broker.events, [Outgoing(b"%d" % name, b"%d" % number)]))

    threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(placed)) == 80
    assert sum(map(len, read(broker).values())) == 80


def test_what_the_broker_will_not_have_is_said_with_what_it_has(broker: Broker, producer: Producer) -> None:
    noise = b"".join(number.to_bytes(4, "big") for number in range(0, 1 << 32, 1 << 12))  # 4 MiB that do not compress.
    records = [Outgoing(b"k", b"before", partition=0), Outgoing(b"k", noise, partition=0), Outgoing(b"k", b"after", partition=0)]
    with pytest.raises(BrokerRefusedError) as refused:
        producer.send(broker.events, records)
    assert refused.value.acknowledged == [(0, 0), None, None]
    assert producer.send(broker.events, records[2:]) == [(0, 1)]
    with pytest.raises(BrokerUnreachableError):
        producer.send(broker.events, [Outgoing(b"k", b"v", partition=PARTITIONS)])


def test_a_topic_that_is_not_there_is_not_waited_for_for_ever(broker: Broker) -> None:
    producer = Producer(broker, timeout_s=1.0)
    with pytest.raises(BrokerUnreachableError) as error:
        producer.send(f"{broker.prefix}.none", [Outgoing(b"k", b"v")])
    assert error.value.acknowledged == [None]
    producer.close()


@pytest.mark.slow
def test_a_broker_that_was_away_is_written_to_again(own_kafka) -> None:
    broker = Broker(own_kafka.bootstrap)
    admin.create_topics(broker, [admin.NewTopicSpec(broker.events, PARTITIONS, 1)])
    producer = Producer(broker, timeout_s=3.0)
    assert producer.send(broker.events, [Outgoing(b"k", b"1", partition=0)]) == [(0, 0)]
    own_kafka.kill()
    with pytest.raises(BrokerUnreachableError) as error:
        producer.send(broker.events, [Outgoing(b"k", b"2", partition=0)])
    assert error.value.acknowledged == [None]
    own_kafka.start()
    assert producer.send(broker.events, [Outgoing(b"k", b"3", partition=0)]) == [(0, 1)]
    producer.close()
    assert [record.value for record in read(broker)[0]] == [b"1", b"3"]
