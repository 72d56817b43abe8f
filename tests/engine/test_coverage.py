"""What the digest of records tells apart: values, headers that say part of the event, and those that are null."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from guardian.engine.coverage import digest_of_records, digest_of_values, tail_of


@dataclass
class Record:
    headers: list[tuple[str, bytes | None]]
    value: bytes | None = b"v"
    offset: int = 0
    timestamp: int = 7
    key: bytes | None = None


NAMES = st.text(st.characters(), max_size=4) | st.sampled_from(["ce_id", "CE_x", "ce_\udce9", "\ud800", "content-type"])
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=3)), max_size=3)


def test_a_null_header_is_neither_an_empty_one_nor_none():
    ways = [[("ce_id", None)], [("ce_id", b"")], [("ce_id", b"\0")], [("ce_id", b"\1")], []]
    assert len({digest_of_records([Record([("ce_type", b"t"), *way])]) for way in ways}) == len(ways)


def test_names_count_as_the_bytes_that_lie_in_the_log():
    record = Record([("ce_caf\udce9", b"1"), ("ce_n", None)])
    values = [b"ce_caf\xe9\0\x011", b"ce_n\0\0", b"v"]
    assert digest_of_records([record]) == digest_of_values(values)
    plain = hashlib.sha256(b"".join(len(value).to_bytes(8, "little") for value in values) + b"".join(values)).hexdigest()
    assert tail_of(record) == f"7/sha256:{plain}"


@given(st.lists(HEADERS, min_size=1, max_size=3))
def test_no_headers_are_too_much(drawn):
    assert digest_of_records([Record(headers) for headers in drawn]).startswith("sha256:")
