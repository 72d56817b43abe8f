"""Partitions as other languages' producers choose them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as their_murmur2
from hypothesis import given
from hypothesis import strategies as st

from guardian.adapters.kafka.partitioning import PARTITIONERS, by_crc32, by_murmur2, murmur2

# As signed 32-bit numbers: org.apache.kafka.common.utils.UtilsTest.testMurmur2.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_murmur2_is_that_of_java(key: bytes) -> None:
    assert (murmur2(key) ^ 1 << 31) - (1 << 31) == JAVA[key]


@given(st.binary(max_size=70), st.integers(1, 300))
def test_murmur2_chooses_as_aiokafka_does(key: bytes, partitions: int) -> None:
    assert murmur2(key) == their_murmur2(key)
    assert by_murmur2(key, partitions) == DefaultPartitioner()(key, list(range(partitions)), [])


def test_crc32_is_that_of_zip_files_unsigned() -> None:
    """0xCBF43926 is the check value of CRC-32/ISO-HDLC, which rd_crc32 is; librdkafka takes it modulo the partitions."""
    assert by_crc32(b"123456789", 1 << 32) == 0xCBF43926
    assert by_crc32(b"123456789", 12) == 0xCBF43926 % 12


def test_partitioners_go_by_the_names_of_the_setting() -> None:
    assert dict(PARTITIONERS) == {"murmur2": by_murmur2, "crc32": by_crc32}
