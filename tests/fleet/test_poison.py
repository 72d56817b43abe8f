"""Poison among clean events, one in ten: each is kept with its reason, and the clean ones are counted as if alone."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from trial.hands import drain, write
from trial.topics import check_topics, read_topic

from guardian.adapters.kafka.log import CONTENT_TYPE, key_of
from guardian.adapters.kafka.partitioning import PARTITIONERS
from guardian.adapters.kafka.producer import Outgoing
from guardian.events.envelope import EVENT_BYTES_MAX
from guardian.events.reasons import Reason

pytestmark = pytest.mark.slow

CLEAN = 9_000
ARROW = (("content-type", b"application/vnd.apache.arrow.stream"),)
UNKNOWN = (("content-type", b"application/x-protobuf"),)
PARTITIONS = 4


def poison(good: bytes) -> list[tuple[Reason, Outgoing]]:
    """Return every kind once, made of a good prediction, each where its key belongs."""
    key = key_of(good)
    own = PARTITIONERS["murmur2"](key, PARTITIONS)

    def json(value: bytes | None, headers=CONTENT_TYPE, partition: int | None = own) -> Outgoing:
        return Outgoing(key, value, headers, partition=partition)

    def changed(**values) -> bytes:
        event = msgspec.json.decode(good)
        for name, value in values.items():
            place = event if name in event else event["data"]
            place[name] = value
        return msgspec.json.encode(event)

    score = msgspec.json.encode(msgspec.json.decode(good)["data"]["score"])

    def scored(raw: bytes) -> bytes:
        return good.replace(b'"score":' + score, b'"score":' + raw)

    assert scored(b"2") != good
    return [
        (Reason.TOMBSTONE, json(None)),
        (Reason.NOT_JSON, json(b"")),
        (Reason.NOT_JSON, json(good[: len(good) // 2])),
        (Reason.NOT_JSON, json(b"\xff\xfe\x00")),
        (Reason.NOT_FINITE, json(scored(b"NaN"))),
        (Reason.NOT_FINITE, json(scored(b"1e400"))),
        (Reason.SCORE_OUT_OF_RANGE, json(scored(b"2"))),
        (Reason.WRONG_TYPE, json(scored(b'"high"'))),
        (Reason.TOO_DEEP, json(b'{"a":' * 5_000 + b"1" + b"}" * 5_000)),
        (Reason.TOO_LARGE, json(good[:-1] + b',"more":"' + b"x" * EVENT_BYTES_MAX + b'"}')),
        (Reason.UNKNOWN_SPECVERSION, json(changed(specversion="2.0"))),
        (Reason.UNKNOWN_TYPE, json(changed(type="io.guardian.prediction.v9"))),
        (Reason.UNKNOWN_MODEL, json(changed(model="nobody"))),
        (Reason.BAD_TIME, json(changed(time="yesterday"))),
        (Reason.BAD_VERSION, json(changed(version="*"))),
        (Reason.NOT_A_CLASS, json(changed(prediction="maybe"))),
        (Reason.MISSING_FIELD, json(msgspec.json.encode({**msgspec.json.decode(good), "data": {}}))),
        (Reason.NOT_JSON, json(good.replace(b'"id":"', b'"id":"\\ud800', 1))),
        (Reason.WRONG_PARTITION, Outgoing(None, good, CONTENT_TYPE, partition=(own + 1) % PARTITIONS)),
        (Reason.NOT_ARROW, json(good, ARROW)),
        (Reason.UNKNOWN_CONTENT_TYPE, json(good, UNKNOWN)),
    ]


def test_poison_is_kept_with_its_reason_and_harms_nothing(world, car_loan, undisturbed):
    clean = car_loan[:CLEAN]
    kinds = poison(clean[0])
    records, expected = [], Counter()
    for number, event in enumerate(clean):
        records.append(Outgoing(key_of(event), event, CONTENT_TYPE))
        if number % 9 == 8:
            reason, record = kinds[number // 9 % len(kinds)]
            records.append(record)
            expected[reason.value] += 1
    assert expected.total() * 10 == len(records)
    write(world, records)
    drain(world)
    assert undisturbed(clean).differences(world.outcome()) == []
    kept = world.rows("dead_letters")
    assert Counter(row["reason"] for row in kept) == expected
    assert Counter(event["data"]["reason"] for event in read_topic(world, "deadletter")) == expected
    assert all(event["data"]["detail"] and event["data"]["size"] is not None for event in read_topic(world, "deadletter"))
    assert check_topics(world, 0) == ([], 0)
    assert world.tiling() == []
