"""What subscribers got: every message of the topics that guardian writes to, held against the database they came from."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from guardian.adapters.kafka import admin
from guardian.adapters.sql.audit_log import SqlAuditLog
from guardian.engine.outgoing import NO_LETTER, letter_place
from guardian.engine.relay import PAGE
from guardian.engine.topics import AUDIT, DEADLETTER, SPECS, full_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardian.adapters.sql.store import SqlStore
    from trial.world import World

ALL: Final = 1 << 31
OUT: Final = tuple(spec.name for spec in SPECS if spec.direction == "out")


def read_topic(world: World, topic: str) -> list[dict[str, Any]]:
    """Return every message of a topic as an event, partition after partition, in order."""
    name = full_name(world.prefix, topic)
    ends = {TopicPartition(name, number): extent.end for number, extent in admin.extents(world.kafka, name).items()}

    async def fetch() -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=world.broker, enable_auto_commit=False, isolation_level="read_committed")
        await consumer.start()
        try:
            consumer.assign(list(ends))
            await consumer.seek_to_beginning(*ends)
            found: dict[TopicPartition, list[Any]] = {tp: [] for tp in ends}
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                    found[tp] += records
            return [record for tp in sorted(found) for record in found[tp]]
        finally:
            await consumer.stop()

    return [msgspec.json.decode(record.value) for record in asyncio.run(fetch())]


@dataclass
class Left:
    """What is said of one stream's messages.

    Attributes:
        wrong: What must not be.
        copies: Messages that were there before.
        rewinds: How often the stream was begun again from an earlier place.
    """

    wrong: list[str]
    copies: int = 0
    rewinds: int = 0


def hold(name: str, got: Sequence[str], expected: Sequence[str]) -> Left:
    """Hold the ids that a stream's subscriber got against those that are stored, both in order.

    Copies are fine: a page that was in flight when its relay went is sent again. What is new must come in order, and nothing may
    be missing.

    >>> hold("s", ["a", "b", "a", "b", "c"], ["a", "b", "c"])
    Left(wrong=[], copies=2, rewinds=1)
    >>> hold("s", ["b", "a"], ["a", "b", "c"]).wrong
    ['s: 1 of 3 are missing, the first is c', 's: a came after b']
    """
    place = {id_: number for number, id_ in enumerate(expected)}
    left = Left([f"{name}: {id_} is not stored" for id_ in got if id_ not in place][:3])
    seen: set[str] = set()
    furthest = last = -1
    run = 0
    for id_ in (id_ for id_ in got if id_ in place):
        at = place[id_]
        left.rewinds += at <= last
        run = 0 if at <= last or id_ not in seen else run
        if id_ in seen:
            left.copies += 1
            run += 1
            if run > PAGE:
                left.wrong.append(f"{name}: more than a page of {PAGE} was sent again, up to {id_}")
        else:
            if at < furthest:
                left.wrong.append(f"{name}: {id_} came after {expected[furthest]}")
            seen.add(id_)
            furthest = max(furthest, at)
        last = at
    if missing := [id_ for id_ in expected if id_ not in seen]:
        left.wrong.insert(0, f"{name}: {len(missing)} of {len(expected)} are missing, the first is {missing[0]}")
    return left


def check_topics(world: World, losses: int) -> tuple[list[str], int]:
    """Hold every topic against the database; return what is wrong, and how many copies there are.

    Args:
        world: Where.
        losses: How often a relay may have been interrupted: no stream may begin again more often.
    """
    with world.store() as store:
        got = {topic: read_topic(world, topic) for topic in OUT}
        held = [hold(name, *both) for name, both in _streams(world, store, got).items()]
    wrong = [line for left in held for line in left.wrong[:3]]
    most = max((left.rewinds for left in held), default=0)
    if most > losses:
        wrong.append(f"a stream was begun again {most} times, and its relay was interrupted {losses} times at most")
    wrong += [line for topic in store.outbox_topics() for line in _sequences(topic, got[topic])]
    return wrong, sum(left.copies for left in held)


def _streams(world: World, store: SqlStore, got: dict[str, list[dict[str, Any]]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return by stream the ids that came and those that are stored, in order."""
    log = SqlAuditLog(store.database)
    streams = {
        topic: ([event["id"] for event in got[topic]], [row.msg_id for row in store.outbox(topic, 0, ALL)])
        for topic in store.outbox_topics()
    }
    came = defaultdict(list)
    for event in got[AUDIT]:
        if "sequence" in event:
            came[event["subject"]].append(event["id"])
    for head in log.heads():
        streams[f"audit {head.stream}"] = (came[head.stream], [row.id for row in log.rows(head.stream)])
    letters = defaultdict(list)
    for event in got[DEADLETTER]:
        letters[event["data"]["part"]].append(_place(event["data"]["offset"], event["data"]["row"]))
    for partition in world.partitions(store):
        stored = store.dead_letters_after(partition, *letter_place(NO_LETTER), ALL)
        places = [_place(one.letter.offset, one.letter.row) for one in stored]
        streams[f"dead letters of {partition.number}"] = (letters[partition.number], places)
    return streams


def _place(offset: int, row: int) -> str:
    return f"{offset}/{row}"


def _sequences(topic: str, events: Iterable[dict[str, Any]]) -> list[str]:
    """Return what is wrong with a topic's own numbers: a subscriber sees by them whether something is missing."""
    numbers = list(dict.fromkeys(int(event["sequence"]) for event in events))
    return [] if numbers == list(range(1, len(numbers) + 1)) else [f"{topic}: sequences have holes or are out of order"]
