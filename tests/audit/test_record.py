"""Records: the bytes, the hash, the chain, and what is refused."""

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.audit.chain import parse_record
from guardian.audit.leaf import FIRST_PREV, RECORD_BYTES_MAX
from guardian.audit.record import RecordRefusedError, record_hash, seal

# Beyond 2^53 JavaScript's shortest form of a double is another integer to Python; a float is what both read.
floats = st.floats(-(2.0**53), 2.0**53, allow_nan=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def test_the_bytes_are_these_and_the_hash_is_the_leaf_hash():
    sealed = seal("control", 0, FIRST_PREV, "note", "a-1", "", 1_700_000_000_123, {"b": 1.0, "a": "é"})
    assert sealed.body_bytes.decode() == (
        '{"body":{"a":"é","b":1},"id":"a-1","kind":"note","model":"","prev":"' + "0" * 64 + '",'
        '"recorded_at":"2023-11-14T22:13:20.123Z","seq":0,"stream":"control","v":1}'
    )
    assert sealed.hash == hashlib.sha256(b"\x00" + sealed.body_bytes).hexdigest() == record_hash(sealed.body_bytes)
    assert sealed[:6] == ("control", 0, "a-1", "note", "", 1_700_000_000_123)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_what_is_sealed_can_be_read_and_is_the_same_every_time(body):
    one, two = (seal("decisions/m", 0, FIRST_PREV, "k", "i", "m", 0, body) for _ in range(2))
    assert one == two
    assert parse_record(one.body_bytes)["body"] == json.loads(json.dumps(body))


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "decisions/a b"},
        {"stream": "decisions/a+b"},
        {"stream": "../x"},
        {"stream": "a//b"},
        {"stream": "a\nb"},
        {"stream": ""},
        {"stream": "a" * 257},
        {"seq": -1},
        {"seq": 1},
        {"seq": 2**53},
        {"prev": "1" * 64},
        {"prev": "0" * 63},
        {"id": ""},
        {"kind": ""},
        {"kind": "k" * 257},
        {"model": "\ud800"},
        {"at": 10**18},
        {"body": {"x": math.nan}},
        {"body": {"x": math.inf}},
        {"body": {"x": 2**53}},
        {"body": {"x": "\udfff"}},
        {"body": {1: 2}},
        {"body": {"x": {1, 2}}},
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(change):
    fields = {"stream": "control", "seq": 0, "prev": FIRST_PREV, "kind": "k", "id": "i", "model": "", "at": 0, "body": {}}
    seal(*fields.values())
    with pytest.raises(RecordRefusedError):
        seal(*(fields | change).values())


def test_a_record_has_a_greatest_size():
    with pytest.raises(RecordRefusedError, match="more than"):
        seal("control", 0, FIRST_PREV, "k", "i", "", 0, {"x": "a" * RECORD_BYTES_MAX})


def test_a_body_that_nests_without_end_is_refused():
    body = {}
    body["x"] = body
    with pytest.raises(RecordRefusedError):
        seal("control", 0, FIRST_PREV, "k", "i", "", 0, body)
