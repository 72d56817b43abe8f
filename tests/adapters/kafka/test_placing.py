"""Where a worker's share is read from: what is asked of the reader, when, and what is watched. No broker takes part."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.structs import TopicPartition
from faust.types import TP

from guardian.adapters.kafka.app import build
from guardian.adapters.kafka.connection import Broker
from guardian.adapters.kafka.consumer import EventConsumer, Reading
from guardian.adapters.kafka.fetching import Fetched, Standing
from guardian.adapters.kafka.watchdog import Watch
from guardian.engine.fates import StoreBusyError
from guardian.engine.ports import Partition

BROKER = Broker("a:1")
ZERO, ONE = (TopicPartition(BROKER.events, number) for number in range(2))


class Thread:
    """In the place of the thread that speaks to the broker: says how far the log goes, which grows each time."""

    def __init__(self) -> None:
        self.end = 10
        self.meanwhile = lambda: None
        self.placed: list[dict] = []
        self.fetched = Fetched(0)
        self.wanted: list[frozenset] = []

    async def call_thread(self, step, *args):
        return await step(*args)

    def assignment(self):
        return {TP(*ZERO), TP(*ONE)}

    async def committed(self, partitions):
        return {}

    async def extents(self, partitions):
        self.end += 1
        self.meanwhile()
        return dict.fromkeys(partitions, (0, self.end))

    async def place(self, number, seeks, halted):
        self.placed.append(seeks)

    async def fetch(self, wanted, timeout_s):
        self.wanted.append(wanted)
        return self.fetched


class Reader:
    def __init__(self) -> None:
        self.busy = 0
        self.asked: list[dict] = []
        self.full: set[int] = set()

    def assigned(self, extents):
        self.asked.append(extents)
        if len(self.asked) <= self.busy:
            raise StoreBusyError("the database is away", hint="wait")
        return dict.fromkeys(extents, 3)

    def wants(self, partition):
        return partition.number not in self.full


def during(look) -> None:
    """Have `look` at a consumer, its thread and its reader, in a loop."""

    async def inside() -> None:
        reader, thread = Reader(), Thread()
        app = build(
            BROKER, Reading(BROKER.events, reader, Watch(10.0, lambda: thread.end), lambda line: None), lambda value: None
        )
        app.in_worker = True
        consumer = app.consumer
        assert isinstance(consumer, EventConsumer)
        real, consumer._thread = consumer._thread, thread
        consumer.resume_flow()
        try:
            await look(consumer, thread, reader)
        finally:
            consumer._thread = real
            consumer.release()

    asyncio.run(inside())


def test_what_was_taken_away_meanwhile_is_not_claimed():
    async def look(consumer, thread, reader) -> None:
        thread.meanwhile = consumer._end_placement
        await consumer._round()
        assert (reader.asked, thread.placed, consumer._placed) == ([], [], False)
        thread.meanwhile = lambda: None
        await consumer._round()
        assert (len(reader.asked), thread.placed, consumer._placed) == (1, [{ZERO: 3, ONE: 3}], True)

    during(look)


def test_how_far_the_log_goes_is_asked_again_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guardian.adapters.kafka.consumer.BUSY_S", (0.0,))

    async def look(consumer, thread, reader) -> None:
        reader.busy = 2
        await consumer._round()
        assert [asked[Partition(*ZERO)] for asked in reader.asked] == [(0, 11), (0, 12), (0, 13)]
        assert thread.placed == [{ZERO: 3, ONE: 3}]

    during(look)


def test_only_what_the_reader_wants_is_watched():
    async def look(consumer, thread, reader) -> None:
        await consumer._round()
        thread.fetched = Fetched(consumer._placement, standings={tp: Standing(5, 99, 1) for tp in (ZERO, ONE)})
        watch = consumer._reading.watch
        for full, verdict in (({0, 1}, None), ({0}, f"{BROKER.events}/1 has more, and has not moved from 5 for 20 s")):
            reader.full = full
            await consumer._round()
            thread.end += 20
            watch.pulse()
            assert watch.verdict() == verdict
        assert thread.wanted == [frozenset(), frozenset({ONE})]

    during(look)
