"""Names of headers that are not UTF-8: what is read beside and after them, and from where it goes on."""

from __future__ import annotations

import inspect

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy, _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from guardian.adapters.kafka.fetching import _AsTheyAre
from guardian.adapters.kafka.lenient import Kept, keep_bytes

TP = TopicPartition("events", 0)


class Raw(str):
    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"caf\xe9"


def batch(first: int, bad: tuple[int, ...] = (), codec: int = 0, producer: int = -1) -> bytes:
    """Three records, some of which have a name that is not UTF-8."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, int(producer >= 0), producer, 0, 0, 1 << 20)
    for row in range(3):
        name = Raw("x") if first + row in bad else "café"
        builder.append(row, 1_000 + row, key=b"k", value=b"v", headers=[(name, b"1"), ("null", None)])
    return first.to_bytes(8) + bytes(builder.build())[8:]


def control(first: int, producer: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, 0, 1, producer, 0, 0, 1 << 20)
    builder.append(0, 1_000, key=b"\0\0\0\0", value=b"\0\0\0\0\0\0", headers=[])
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8)
    built[22] |= _DefaultRecordBatchPy.CONTROL_MASK
    data = memoryview(built)[_DefaultRecordBatchPy.ATTRIBUTES_OFFSET :].tobytes()
    built[17:21] = calc_crc32c(data).to_bytes(4)
    return bytes(built)


def parts(data: bytes, at: int = 0, aborted: tuple[tuple[int, int], ...] = ()) -> fetcher.PartitionRecords:
    made = fetcher.PartitionRecords(TP, Kept(data), list(aborted), at, None, None, True, fetcher.READ_COMMITTED)
    _AsTheyAre(TP.topic)[TP] = fetcher.FetchResult(TP, assignment=None, partition_records=made, backoff=0.1)
    return made


@pytest.mark.parametrize("codec", [DefaultRecordBatch.CODEC_NONE, DefaultRecordBatch.CODEC_GZIP])
@pytest.mark.parametrize("bad", [(), (0,), (4,), (1, 3, 5, 8), tuple(range(9))])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_every_record_is_read_once(bad, codec, at):
    first = at // 3 * 3  # A broker begins with the batch that holds the offset.
    made = parts(b"".join(batch(offset, bad, codec) for offset in range(first, 9, 3)), at)
    records = list(made)
    assert [record.offset for record in records] == list(range(at, 9))
    assert {(record.key, record.value, record.timestamp - record.offset % 3) for record in records} == {(b"k", b"v", 1_000)}
    names = {record.offset: record.headers[0][0] for record in records}
    assert names == {offset: "caf\udce9" if offset in bad else "café" for offset in range(at, 9)}
    assert all(record.headers[1] == ("null", None) for record in records)
    assert made.next_fetch_offset == 9


def test_what_was_aborted_stays_so_and_what_follows_the_abort_is_read():
    assert ControlRecord.parse(b"\0\0\0\0") == ABORT_MARKER
    data = batch(0, producer=7) + control(3, 7) + batch(4, (5,), producer=7) + batch(7, (8,), producer=8) + control(10, 8)
    made = parts(data, aborted=((7, 0), (8, 7)))
    assert [record.offset for record in made] == [4, 5, 6]
    assert made.next_fetch_offset == 11


def test_what_is_broken_after_it_is_still_said():
    broken = bytearray(batch(3))
    broken[-1] ^= 1
    made = parts(batch(0, (1,)) + bytes(broken))
    assert [next(made).offset for _ in range(3)] == [0, 1, 2]
    with pytest.raises(CorruptRecordException, match="CRC"):
        next(made)


def test_aiokafka_is_made_to_keep_the_bytes(monkeypatch):
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    keep_bytes()
    assert "MemoryRecords(part_data[-1])" in inspect.getsource(fetcher.Fetcher)
    assert fetcher.MemoryRecords(b"abc").data == b"abc"
