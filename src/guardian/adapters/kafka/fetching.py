"""The thread that speaks to the broker: fetches, seeks, and says how far the log goes. Heartbeats go on here.

What is done here is done in the order in which it was asked for. Every answer carries the number of the *placement* that it
belongs to (consumer.py): what was fetched before a seek must not be taken for what comes after it.
"""

from __future__ import annotations

import time
from asyncio import sleep
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode.threads import WorkerThread

from guardian.adapters.kafka.lenient import keep_bytes, leniently

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer
    from faust.transport.drivers.aiokafka import Transport
    from faust.types import TP

FETCH_WAIT_MS: Final = 200  # Faust's 1500 would be waited out by a partition with a backlog beside others that are at their end.
STANDING_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How one partition is being read.

    Attributes:
        position: The offset that comes next.
        end: The offset up to which it can be read, None before the first answer.
        answered: When the broker last answered, its own clock's milliseconds; None before the first answer.
    """

    position: int
    end: int | None
    answered: int | None


@dataclass(slots=True)
class Fetched:
    """What one poll gave.

    Attributes:
        placement: The number of the placement that it belongs to.
        records: By partition.
        lost: Partitions whose next offset is not in the log.
        standings: How each partition is being read; empty most times.
    """

    placement: int
    records: Mapping[TopicPartition, Sequence[Any]] = field(default_factory=dict)
    lost: Iterable[TopicPartition] = ()
    standings: Mapping[TopicPartition, Standing] = field(default_factory=dict)


class _Daemon(WorkerThread):
    """A thread that does not keep a process alive which has given up on it."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class FetchingThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, which also fetches in batches for one topic."""

    abstract = False
    Worker = _Daemon
    placement = 0
    _told_at = 0.0

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print nothing: who runs the worker is told of the error."""

    def release(self) -> None:
        """Close the loop of a thread that was never started; one that ran has closed it."""
        if not (self.thread_loop.is_running() or self.thread_loop.is_closed()):
            self.thread_loop.close()

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # Faust ties it to its exactly-once mode.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Connect."""
        await super().on_start()
        keep_bytes()
        fetcher = self._ensure_consumer()._fetcher
        fetcher._records = _AsTheyAre(cast("Any", self.app).guardian.topic)

    async def fetch(self, wanted: frozenset[TopicPartition], timeout_s: float) -> Fetched:
        """Return what was fetched of the partitions wanted, waiting for something at most `timeout_s`."""
        consumer = self._ensure_consumer()
        fetcher, subscriptions = consumer._fetcher, consumer._subscription
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with subscriptions.fetch_context():
            if not wanted or subscriptions.reassignment_in_progress:  # None wanted would be taken for all.
                await sleep(timeout_s)
                return Fetched(self.placement, standings=self._standings())
            try:
                records = await fetcher.fetched_records(wanted, timeout=timeout_s, max_records=consumer._max_poll_records)
            except OffsetOutOfRangeError as error:
                return Fetched(self.placement, lost=self._still_lost(error.args[0]))
            except (NoOffsetForPartitionError, CorruptRecordException):
                # The first is of before the seek, as every partition is sought; after the second, the bytes are fetched again.
                await sleep(timeout_s)
                records = {}
            return Fetched(self.placement, records, standings=self._standings())

    async def place(self, placement: int, seeks: Mapping[TopicPartition, int], halted: Iterable[TopicPartition]) -> None:
        """Begin a placement: read these partitions from there, and those not at all. Older placements are void from now on."""
        if placement > self.placement:
            self.placement = placement
            await self.move(placement, seeks, halted)

    async def move(self, placement: int, seeks: Mapping[TopicPartition, int], halted: Iterable[TopicPartition]) -> None:
        """Read these partitions from there, and those not at all, if the placement still holds."""
        if placement == self.placement:
            consumer = self._ensure_consumer()
            for partition, offset in seeks.items():
                consumer.seek(partition, offset)
                consumer.resume(partition)
            for partition in halted:
                consumer.seek(partition, 0)  # Without any position, aiokafka would ask the group for one.
                consumer.pause(partition)

    async def extents(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return each partition's earliest offset, and the offset of the first record that is not there, or not yet committed."""
        consumer = self._ensure_consumer()
        earliest = await consumer.beginning_offsets(partitions)
        end = await consumer.end_offsets(partitions)
        return {partition: (earliest[partition], end[partition]) for partition in partitions}

    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the group's offsets of partitions that are read message by message; the earliest where none holds."""
        consumer = self._ensure_consumer()
        offsets = {}
        for partition, (earliest, end) in (await self.extents(partitions)).items():
            offset = await consumer.committed(partition)
            offsets[partition] = offset if offset is not None and earliest <= offset <= end else earliest
        return offsets

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit what agents have acknowledged; Faust's own ends the worker when the broker is away for a moment.

        What is not committed is given to an agent again, after a restart or a rebalance.
        """
        wanted = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in self.assignment()}
        try:
            await self._ensure_consumer().commit(wanted)
        except KafkaError:
            return False
        return True

    def _still_lost(self, at: Mapping[TopicPartition, int]) -> list[TopicPartition]:
        """Return the partitions that have not been sought elsewhere since."""
        assigned = self._ensure_consumer()._subscription.subscription.assignment
        return [] if assigned is None else [tp for tp, offset in at.items() if assigned.state_value(tp).position == offset]

    def _standings(self) -> dict[TopicPartition, Standing]:
        subscription = self._ensure_consumer()._subscription.subscription
        now = time.monotonic()
        if now - self._told_at < STANDING_EVERY_S or subscription is None or subscription.assignment is None:
            return {}
        self._told_at = now
        states = {tp: subscription.assignment.state_value(tp) for tp in subscription.assignment.tps}
        return {
            tp: Standing(state.position, state.lso, state.timestamp) for tp, state in states.items() if state.has_valid_position
        }


class _AsTheyAre(OrderedDict[TopicPartition, Any]):
    """aiokafka's buffer of what was fetched. One topic's records stay as they are parsed, in C: they satisfy `LogRecord`.

    To copy each into a ConsumerRecord is two fifths of what fetching costs.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if partition.topic == self._topic and isinstance(result, FetchResult):
            parts = result._partition_records
            parts._consumer_record = _itself
            parts._records_iterator = leniently(parts)
        super().__setitem__(partition, result)


def _itself(_partition: TopicPartition, record: Any) -> Any:
    return record
