"""Records into topics: acknowledged by all replicas, in order, each once for as long as one producer lives.

The producer runs in a thread of its own, so that callers need no event loop; whoever calls waits. Of one partition a batch is
sent when the one before is acknowledged: after a failure nothing stands in the log behind a record that is not there.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from guardian.adapters.kafka.connection import failure
from guardian.adapters.kafka.partitioning import PARTITIONERS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any, TypeVar

    from guardian.adapters.kafka.connection import Broker, BrokerUnreachableError

    T = TypeVar("T")

BATCH_BYTES: Final = 512 << 10  # Before compression; brokers take a megabyte.
TIMEOUT_S: Final = 30.0  # Of one `send`, however long brokers take; what is not acknowledged then may be sent again.
CLOSE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be sent.

    Attributes:
        key: Chooses the partition where `partition` is None; None is spread over all.
        value: The bytes.
        headers: Names and values.
        timestamp_ms: UTC milliseconds; None is now.
        partition: Where to, or None.
    """

    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int | None = None
    partition: int | None = None


class Producer:
    """An idempotent producer behind a synchronous face. Safe to share between threads; connects at the first use.

    Args:
        broker: Where to.
        partitioner: `murmur2` as Java's clients, or `crc32` as librdkafka's.
        timeout_s: How long one call may take.
    """

    def __init__(self, broker: Broker, *, partitioner: str = "murmur2", timeout_s: float = TIMEOUT_S) -> None:
        self._broker = broker
        self._choose = PARTITIONERS[partitioner]
        self._timeout_s = timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="guardian-producer", daemon=True)
        self._producer: AIOKafkaProducer | None = None
        self._gate: asyncio.Lock | None = None
        self._spread = 0
        self._thread.start()

    def send(self, topic: str, records: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Send records; return each one's (partition, offset) once all are acknowledged. An offset that the broker forgot is -1.

        Raises BrokerUnreachableError, or BrokerRefusedError when trying again is useless; `acknowledged` says which are in the
        log.
        """
        return self._call(self._send(topic, records))

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has. Raises BrokerUnreachableError."""
        return self._call(self._partitions(topic))

    def close(self) -> None:
        """Disconnect and end the thread; nothing is pending, as every `send` has returned. A second call does nothing."""
        if self._thread.is_alive():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(CLOSE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSE_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _loop, _context: None)  # What fails is told to whoever called.
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(self._alone(work), self._loop).result()

    async def _alone(self, work: Coroutine[Any, Any, T]) -> T:
        """One call at a time, so that what two callers send keeps its order, and no producer is dropped under another's feet."""
        self._gate = self._gate or asyncio.Lock()
        async with self._gate:
            return await work

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._broker.client_options(),
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=int(self._timeout_s * 1000),
            )
            self._producer = producer
            await producer.start()
        return self._producer

    async def _partitions(self, topic: str) -> int:
        try:
            async with asyncio.timeout(self._timeout_s):
                return len(await (await self._started()).partitions_for(topic))
        except (KafkaError, OSError, TimeoutError) as error:
            await self._drop()
            raise self._failed(topic, error) from error

    async def _send(self, topic: str, records: Sequence[Outgoing]) -> list[tuple[int, int]]:
        placed: list[tuple[int, int] | None] = [None] * len(records)
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._started()
                partitions = len(await producer.partitions_for(topic))
                ways: dict[int, list[int]] = defaultdict(list)
                for index, record in enumerate(records):
                    ways[self._partition(record, partitions)].append(index)
                async with asyncio.TaskGroup() as group:
                    for partition, indices in ways.items():
                        group.create_task(_send_in_order(producer, topic, partition, indices, records, placed))
        except* (KafkaError, OSError, TimeoutError) as errors:
            await self._drop()
            first = _first(errors)
            raise self._failed(topic, first, placed) from first
        return [place for place in placed if place is not None]

    def _partition(self, record: Outgoing, partitions: int) -> int:
        if record.partition is not None:
            return record.partition
        if record.key is not None:
            return self._choose(record.key, partitions)
        self._spread = (self._spread + 1) % partitions
        return self._spread

    def _failed(self, topic: str, error: BaseException, placed: Sequence[tuple[int, int] | None] = ()) -> BrokerUnreachableError:
        if isinstance(error, TimeoutError):
            error = KafkaTimeoutError(f"no answer within {self._timeout_s:g} s")
        return failure(self._broker, f"{topic} could not be written", error, placed)

    async def _drop(self) -> None:
        """Forget the producer, and with it what it would still send: the next call begins with a new one and a new sequence."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._message_accumulator.fail_all(KafkaTimeoutError())  # noqa: SLF001 - or `stop` would wait for a broker that is gone
            with suppress(Exception):  # It may fail on what it was about to try again, which is just what is to be forgotten.
                async with asyncio.timeout(CLOSE_S):
                    await producer.stop()
            with suppress(Exception):
                await producer.client.close()


async def _send_in_order(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    indices: Sequence[int],
    records: Sequence[Outgoing],
    placed: list[tuple[int, int] | None],
) -> None:
    """Send the records of one partition, batch after batch, and write down where they are."""
    done = 0
    while done < len(indices):
        batch = producer.create_batch()
        first = done
        for index in indices[first:]:
            record = records[index]
            if (
                batch.append(key=record.key, value=record.value, timestamp=record.timestamp_ms, headers=list(record.headers))
                is None
            ):
                break
            done += 1
        batch.close()
        try:
            told = await (await producer.send_batch(batch, topic, partition=partition))
        except AssertionError as error:
            raise UnknownTopicOrPartitionError(f"{topic} has no partition {partition}") from error
        for ahead, index in enumerate(indices[first:done]):
            placed[index] = (partition, told.offset + ahead if told.offset >= 0 else -1)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
