"""Canonical bytes: what the fast way writes is what rfc8785 writes, byte for byte, and it refuses the same."""

import math

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from guardian.canonical import canonical, digest, digest_of, short_id

EXACT = (1 << 53) - 1
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-EXACT, EXACT) | floats | st.floats(-1e-3, 1e-3) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner))


@given(values)
@example({"\U0001f600": 1, "\ue000": 2, "a": 3})
@example(['\x00\x1f\x7f\u2028\\"/', "\u00e9", -0.0, 1e-4, 9.999e-5, 1e-6, 1e-7, 1e16, 1e21, 5e-324, 0.1 + 0.2, 2.0**53, 100.0])
def test_the_bytes_are_those_of_rfc8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(st.floats(1e-5, 1e17) | st.floats(1e-4, 2e-4) | st.floats(2.0**52, 2.0**54))
def test_numbers_where_the_ways_part(value):
    assert canonical([value, -value]) == rfc8785.dumps([value, -value])


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, EXACT + 1, -EXACT - 1, b"bytes", {1: 2}, "\ud800", {"\ud800": 1}, object(), {1, 2}]
)
@pytest.mark.parametrize("where", [lambda v: v, lambda v: [v], lambda v: {"a": {"b": v}}])
def test_what_has_no_canonical_bytes_is_refused_alike(value, where):
    with pytest.raises(Exception) as theirs:
        rfc8785.dumps(where(value))
    with pytest.raises(type(theirs.value)):
        canonical(where(value))


def test_digests_follow_the_bytes():
    assert digest_of({"b": 1.0, "a": "x"}) == digest(b'{"a":"x","b":1}')
    assert short_id("a", "b") != short_id("ab")
    assert len(short_id("a")) == 32
