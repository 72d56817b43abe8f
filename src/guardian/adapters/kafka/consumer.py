"""How events get from the broker to the one who counts them: Faust's group and rebalances, and batches instead of messages.

Offsets are the reader's. A **placement** is one answer to "where is this worker's share read from": it begins when the broker has
dealt out partitions and ends when that changes. Every placement asks the reader anew, so records that were under way when it
began are simply dropped: they come again. Other topics go Faust's own way, message by message, to its agents.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError, KafkaTimeoutError
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import Consumer, Transport

from guardian.adapters.kafka.fetching import FetchingThread
from guardian.engine.fates import StoreBusyError
from guardian.engine.ports import Partition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from faust.types import TP
    from mode import ServiceT

    from guardian.adapters.kafka.fetching import Fetched
    from guardian.adapters.kafka.watchdog import Watch
    from guardian.engine.ports import LogReader

    T = TypeVar("T")

POLL_S: Final = 0.1  # How long a poll waits for something, and so how often an idle reader is asked to work.
BUSY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # Pauses while the database is away; the last one stays.


@dataclass(slots=True)
class Reading:
    """What a worker's consumer is to do, and how it tells of itself.

    Attributes:
        topic: The topic of events.
        reader: Who counts them.
        watch: Told of progress.
        say: Given one line at a time.
        failure: Why reading has ended, if it has.
    """

    topic: str
    reader: LogReader
    watch: Watch
    say: Callable[[str], None]
    failure: BaseException | None = field(default=None)

    async def patiently(self, question: Callable[[], T], over: Callable[[], bool]) -> T:
        """Ask the reader, again and again while the database is away. Raises SupersededError once `over` says so."""

        async def asked() -> T:
            return question()

        return await self.repeat(asked, over)

    async def repeat(self, step: Callable[[], Awaitable[T]], over: Callable[[], bool]) -> T:
        """Take a step that asks the reader, from its beginning whenever the database is away. Raises as `patiently` does."""
        for attempt in range(1 << 62):
            if attempt and over():
                break
            try:
                return await step()
            except StoreBusyError as error:
                if attempt == len(BUSY_S):  # Once, and not for every hiccup.
                    self.say(f"waiting: {error}")
                self.watch.excused()
                await asyncio.sleep(BUSY_S[min(attempt, len(BUSY_S) - 1)])
                self.watch.pulse()
        raise SupersededError


class SupersededError(Exception):
    """The question no longer matters: partitions are being dealt out anew, or the worker stops."""


class EventConsumer(Consumer):
    """Faust's consumer, which hands one topic to a `LogReader`."""

    abstract = False
    _thread: FetchingThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reading: Reading = cast("Any", self.app).guardian
        self._placement = 0
        self._placed = False
        self._share: dict[TopicPartition, Partition] = {}  # Of our topic.
        self._halted: set[TopicPartition] = set()

    def _new_consumer_thread(self) -> FetchingThread:
        return FetchingThread(self, loop=self.loop, beacon=self.beacon)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to what agents read, and to the events."""
        await super().subscribe({*topics, self._reading.topic})

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Have the placement made anew: this is where Faust decides where to read from.

        It is made in the loop that fetches, before the next fetch: Faust gives up on rebalances for good when this takes longer
        than one of its timeouts, and loading the state of partitions may.
        """
        self._end_placement()
        return {}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """End the placement, then let Faust do its part."""
        self._end_placement()
        try:
            self._reading.reader.revoked([Partition(*tp) for tp in revoked if tp.topic == self._reading.topic])
        except StoreBusyError:
            pass  # The next assignment says again what is held.
        except Exception as error:  # As in `_drain_messages`.
            self._reading.failure = error
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """End the placement; Faust calls `seek_to_committed` when all is ready."""
        self._end_placement()
        await super().on_partitions_assigned(assigned, generation_id)

    def release(self) -> None:
        """Give back what a consumer holds that was never started."""
        self._thread.release()

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust's own check knows nothing of batches, and would only log."""

    def _end_placement(self) -> None:
        self._placement += 1
        self._placed = False
        self._share = {}
        self._halted = set()
        self._reading.watch.unplaced()

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Read until the worker or the fetcher stops; in the place of Faust's own loop."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                self._reading.watch.pulse()
                with suppress(SupersededError):
                    await self._round()
                    await self._follow(await self._ask(self._reading.reader.work))
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except Exception as error:  # Whatever it is, it ends the worker, and is raised where that was started.
            if not self.app.should_stop:
                self._reading.failure = error

    async def _round(self) -> None:
        if not self.flow_active:
            if self._placed:
                self._end_placement()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.can_resume_flow.wait(), POLL_S)
        elif not self._placed:
            await self._reading.repeat(self._place, self._over())  # As a whole: how far the log goes changes meanwhile.
        else:
            wanted = await self._wanted()
            fetched = await self._thread.call_thread(self._thread.fetch, wanted, POLL_S)
            if fetched.placement == self._placement and self.flow_active:
                await self._take(fetched, wanted)

    async def _place(self) -> None:
        """Ask where to read from, and seek there."""
        number, share = self._placement, sorted(TopicPartition(*tp) for tp in self.assignment())
        ours = {tp: Partition(*tp) for tp in share if tp.topic == self._reading.topic}
        try:
            others = await self._thread.call_thread(self._thread.committed, [tp for tp in share if tp not in ours])
            extents = await self._thread.call_thread(self._thread.extents, list(ours))
            if number != self._placement:  # To claim now what was taken away meanwhile would fence off who has it.
                return
            offsets = self._reading.reader.assigned({ours[tp]: extents[tp] for tp in ours})
            seeks = {tp: offset for tp, partition in ours.items() if (offset := offsets[partition]) is not None}
            halted = ours.keys() - seeks.keys()
            await self._thread.call_thread(self._thread.place, number, {**others, **seeks}, halted)
        except KafkaError as error:
            await self._again(error)
            return
        if number == self._placement:
            self._read_offset.update(others)
            self._committed_offset.update({tp: offset or None for tp, offset in others.items()})
            self._share, self._halted, self._placed = ours, halted, True
            self._reading.watch.placed()
            numbers = ", ".join(str(tp.partition) for tp in seeks) or "none"
            self._reading.say(f"reading of {self._reading.topic}: partitions {numbers}")

    async def _wanted(self) -> frozenset[TopicPartition]:
        """Return what to fetch: of our topic what the reader has room for, of the others what Faust has."""
        wants, topic = self._reading.reader.wants, self._reading.topic
        ours = await self._ask(lambda: [tp for tp, place in self._share.items() if tp not in self._halted and wants(place)])
        return frozenset(ours).union(tp for tp in self._get_active_partitions() if tp.topic != topic)

    async def _take(self, fetched: Fetched, wanted: frozenset[TopicPartition]) -> None:
        """Hand on what was fetched, for as long as the placement holds."""
        for tp, records in fetched.records.items():
            partition = self._share.get(tp)
            if partition is not None:
                offset = await self._ask(partial(self._reading.reader.deliver, partition, records))
                if offset is not None:
                    await self._move({tp: offset})
            elif tp.topic != self._reading.topic:
                await self._pass_on(tp, records)
            if fetched.placement != self._placement:
                return
        for tp in fetched.lost:
            await self._lost(tp)
        if fetched.standings:
            read = (self._share.keys() & wanted) - self._halted  # What the reader has no use for now need not get on.
            self._reading.watch.look({tp: standing for tp, standing in fetched.standings.items() if tp in read})

    async def _pass_on(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        """Hand messages to the agents of their topic as Faust's loop does, but for its gaps, which were one message too long."""
        number = self._placement
        for record in records:
            last = self._read_offset[tp]
            if last is not None and record.offset < last:
                continue
            if last and record.offset - last > 1 and self.app.topics.acks_enabled_for(tp.topic):
                await self._add_gap(tp, last + 1, record.offset - 1)
            await self.wait_first(self.callback(self._to_message(tp, record)), self.suspend_flow.wait())
            if number != self._placement:
                return
            self._read_offset[tp] = record.offset

    async def _lost(self, tp: TopicPartition) -> None:
        """What is to be read next is not in the log: the reader says what to do, other topics begin at what is left."""
        try:
            earliest, end = (await self._thread.call_thread(self._thread.extents, [tp]))[tp]
        except KafkaError as error:
            await self._again(error)
            return
        partition = self._share.get(tp)
        if partition is not None:
            await self._move({tp: await self._ask(lambda: self._reading.reader.lost(partition, earliest, end))})
        elif tp.topic != self._reading.topic:
            await self._move({tp: earliest})

    async def _follow(self, offsets: Mapping[Partition, int | None]) -> None:
        if offsets:
            await self._move({tp: offsets[partition] for tp, partition in self._share.items() if partition in offsets})

    async def _move(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        """Read partitions from elsewhere, or no longer where it is None. Nothing happens when the placement is over."""
        seeks = {tp: offset for tp, offset in offsets.items() if offset is not None}
        halted = offsets.keys() - seeks.keys()
        self._halted = (self._halted - seeks.keys()) | halted
        with suppress(IllegalStateError):  # The share is another by now; its placement follows.
            await self._thread.call_thread(self._thread.move, self._placement, seeks, halted)

    async def _ask(self, question: Callable[[], T]) -> T:
        return await self._reading.patiently(question, self._over())

    def _over(self) -> Callable[[], bool]:
        number = self._placement
        return lambda: number != self._placement or self.should_stop

    async def _again(self, error: KafkaError) -> None:
        """The broker did not answer: make the placement anew, after a pause. Raises what trying again cannot mend."""
        if not (error.retriable or isinstance(error, IllegalStateError | KafkaConnectionError | KafkaTimeoutError)):
            raise error
        self._end_placement()
        self._reading.watch.pulse()
        await asyncio.sleep(POLL_S * 10)


class EventTransport(Transport):
    """Faust's transport, with the consumer above."""

    Consumer = EventConsumer
