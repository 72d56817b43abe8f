"""What topics there are, how far they go, and making them. Every function connects, asks and disconnects."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from aiokafka.structs import TopicPartition

from guardian.adapters.kafka.connection import BrokerRefusedError, failure
from guardian.engine.topic_check import TopicFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
    from typing import TypeVar

    from guardian.adapters.kafka.connection import Broker

    T = TypeVar("T")

TIMEOUT_S: Final = 15.0
PEEK_MS: Final = 200


@dataclass(frozen=True, slots=True)
class NewTopicSpec:
    """A topic as it is to be made.

    Attributes:
        name: Its name.
        partitions: How many.
        replication: Copies of each; -1 leaves it to the broker.
        configs: Kafka's own settings of a topic, e.g. `retention.ms`.
    """

    name: str
    partitions: int
    replication: int = -1
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a partition goes: its earliest offset, and the one that its next record will get."""

    earliest: int
    end: int


def topics(broker: Broker, *, timeout_s: float = TIMEOUT_S) -> dict[str, int]:
    """Return the number of partitions of every topic, by name, Kafka's own among them. Raises BrokerUnreachableError."""
    return _ask(broker, "topics could not be listed", lambda client: _topics(client, None), timeout_s)


def partitions(broker: Broker, topic: str, *, timeout_s: float = TIMEOUT_S) -> int:
    """Return how many partitions a topic has, 0 where there is no such topic. Raises BrokerUnreachableError."""
    listed = _ask(broker, f"{topic} could not be looked up", lambda client: _topics(client, [topic]), timeout_s)
    return listed.get(topic, 0)


def brokers(broker: Broker, *, timeout_s: float = TIMEOUT_S) -> int:
    """Return how many brokers there are. Raises BrokerUnreachableError."""

    async def count(client: AIOKafkaAdminClient) -> int:
        return len((await client.describe_cluster())["brokers"])

    return _ask(broker, "the cluster could not be looked up", count, timeout_s)


def describe(broker: Broker, names: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> dict[str, TopicFound]:
    """Return the topics of these names that are there, by name, with their settings in force. Raises BrokerUnreachableError."""

    async def look(client: AIOKafkaAdminClient) -> dict[str, TopicFound]:
        there = [topic for topic in await client.describe_topics(list(names)) if topic["error_code"] == 0]
        return {
            topic["topic"]: TopicFound(
                len(topic["partitions"]),
                min(len(partition["replicas"]) for partition in topic["partitions"]),
                await _configs(client, topic["topic"]),
            )
            for topic in there
        }

    return _ask(broker, "topics could not be looked up", look, timeout_s)


def extents(broker: Broker, topic: str, *, timeout_s: float = TIMEOUT_S) -> dict[int, Extent]:
    """Return how far each partition of a topic goes, by number, counting what transactions have committed.

    Raises BrokerUnreachableError; BrokerRefusedError where there is no such topic.
    """
    what = f"{topic} could not be looked up"
    return _ask(broker, what, lambda client: _extents(client, broker, topic), timeout_s)


def ends_to_count(broker: Broker, topic: str, counted: Mapping[int, int], *, timeout_s: float = TIMEOUT_S) -> dict[int, int]:
    """Return how far each partition is to be counted, by number: to its end, or as far as it is `counted` already where nothing
    follows but the marks of transactions and what they took back.

    Raises BrokerUnreachableError; BrokerRefusedError where there is no such topic.
    """
    what = f"{topic} could not be looked up"
    return _ask(broker, what, lambda client: _ends_to_count(client, broker, topic, counted), timeout_s)


def create_topics(broker: Broker, specs: Sequence[NewTopicSpec], *, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Make the topics that are not there; return their names. Those that are there are left as they are.

    Raises BrokerUnreachableError; BrokerRefusedError when the broker will not have one of them.
    """

    async def make(client: AIOKafkaAdminClient) -> list[str]:
        wanted = [
            NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.configs) or None) for spec in specs
        ]
        answer = await client.create_topics(wanted, timeout_ms=int(timeout_s * 1000))
        made = []
        for name, code, *why in answer.topic_errors:
            if code == 0:
                made.append(name)
            elif code != TopicAlreadyExistsError.errno:
                raise for_code(code)(f"{name}: {why[0] if why and why[0] else for_code(code).__name__}")
        return made

    return _ask(broker, "topics could not be made", make, timeout_s)


def delete_topics(broker: Broker, names: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> None:
    """Delete topics with all they hold; those that are not there are passed over. Raises BrokerUnreachableError."""

    async def delete(client: AIOKafkaAdminClient) -> None:
        answer = await client.delete_topics(list(names), timeout_ms=int(timeout_s * 1000))
        for name, code, *_ in answer.topic_error_codes:
            if code not in (0, UnknownTopicOrPartitionError.errno):
                raise for_code(code)(name)

    _ask(broker, "topics could not be deleted", delete, timeout_s)


def _ask(broker: Broker, what: str, question: Callable[[AIOKafkaAdminClient], Coroutine[Any, Any, T]], timeout_s: float) -> T:
    async def asked() -> T:
        async with asyncio.timeout(timeout_s):
            client = AIOKafkaAdminClient(**broker.client_options(), request_timeout_ms=int(timeout_s * 1000))
            try:
                await client.start()
                return await question(client)
            finally:
                await client.close()

    try:
        return asyncio.run(asked())
    except TimeoutError as error:
        raise failure(broker, what, TimeoutError(f"no answer within {timeout_s:g} s")) from error
    except (KafkaError, OSError) as error:
        raise failure(broker, what, error) from error


async def _topics(client: AIOKafkaAdminClient, names: list[str] | None) -> dict[str, int]:
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await client.describe_topics(names)
        if topic["error_code"] == 0 and topic["partitions"]
    }


async def _configs(client: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for answer in await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, None)]):
        for resource in answer.to_object()["resources"]:
            if resource["error_code"]:
                raise for_code(resource["error_code"])(resource["error_message"] or topic)
            entries = ((entry["config_names"], entry["config_value"]) for entry in resource["config_entries"])
            found |= {name: value for name, value in entries if value is not None}  # None: the broker keeps it secret.
    return found


async def _extents(client: AIOKafkaAdminClient, broker: Broker, topic: str) -> dict[int, Extent]:
    async with _consumer(client, broker, topic) as (consumer, places):
        return await _extents_of(consumer, places)


async def _extents_of(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[int, Extent]:
    earliest = await consumer.beginning_offsets(places)
    end = await consumer.end_offsets(places)
    return {place.partition: Extent(earliest[place], end[place]) for place in places}


async def _ends_to_count(client: AIOKafkaAdminClient, broker: Broker, topic: str, counted: Mapping[int, int]) -> dict[int, int]:
    async with _consumer(client, broker, topic) as (consumer, places):
        found = await _extents_of(consumer, places)
        ends = {number: extent.end for number, extent in found.items()}
        rests = {
            place: counted[number]
            for place in places
            if (number := place.partition) in counted and found[number].earliest <= counted[number] < ends[number]
        }
        consumer.assign(list(rests))
        for place, offset in rests.items():
            consumer.seek(place, offset)
        while rests:
            for place in await consumer.getmany(timeout_ms=PEEK_MS):
                consumer.pause(place)
                rests.pop(place, None)
            for place in [place for place in rests if await consumer.position(place) >= ends[place.partition]]:
                ends[place.partition] = rests.pop(place)
        return ends


@asynccontextmanager
async def _consumer(
    client: AIOKafkaAdminClient, broker: Broker, topic: str
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """Give a consumer and the topic's partitions."""
    count = (await _topics(client, [topic])).get(topic)
    if count is None:
        raise BrokerRefusedError(f"there is no topic {topic} at {broker.bootstrap}", hint="guardian topics create makes it")
    consumer = AIOKafkaConsumer(**broker.client_options(), isolation_level="read_committed", enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer, [TopicPartition(topic, number) for number in range(count)]
    finally:
        await consumer.stop()
