"""Sparse vectors: the laws of a group, splitting by key, overflow refused, bytes there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.errors import InvalidStateError, OverflowRefusedError
from guardian.panes.pane import SUM_MAX, Sparse, collect, split, total
from guardian.testing.laws import check_group, check_monoid

SIZE = 6
pairs = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(-5, 5)), max_size=12)


def vector(rows) -> Sparse:
    cells, amounts = np.array(rows, np.int64).reshape(-1, 2).T
    return collect(cells, amounts)


def plain(rows) -> list[int]:
    out = [0] * SIZE
    for cell, amount in rows:
        out[cell] += amount
    return out


@given(pairs, pairs, pairs)
def test_vectors_form_a_commutative_group(a, b, c):
    check_monoid(Sparse.zero(), vector(a), vector(b), vector(c))
    check_group(Sparse.zero(), vector(a), vector([(cell, -n) for cell, n in a]))


@given(pairs, pairs)
def test_merging_is_adding_and_keeps_no_zeros(a, b):
    merged = vector(a).merge(vector(b))
    assert merged.dense(SIZE).tolist() == plain([*a, *b]) == total([vector(a), vector(b)], SIZE).tolist()
    assert (np.diff(merged.cells) > 0).all()
    assert (merged.counts != 0).all()


@given(pairs)
def test_bytes_round_trip(a):
    assert Sparse.from_bytes(vector(a).to_bytes()) == vector(a)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, SIZE - 1), st.integers(-2, 2)), max_size=30),
    st.sampled_from((SIZE, 1000)),
)
def test_split_gives_each_key_its_own_vector_written_out_or_sorted(rows, size):
    keys, cells, amounts = np.array(rows, np.int64).reshape(-1, 3).T
    found = dict(split(keys, [(cells, amounts), (cells, -1)], size))
    assert found.keys() == {key for key, _, _ in rows}
    for key, got in found.items():
        assert got == vector([(cell, n - 1) for k, cell, n in rows if k == key])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_beyond_62_bits_is_refused_and_one_step_before_it_is_not(sign):
    half = vector([(0, sign * SUM_MAX // 2)])
    almost = half.merge(vector([(0, sign * (SUM_MAX // 2 - 4096))]))
    assert almost.counts.tolist() == [sign * (SUM_MAX - 4096)]
    for attempt in (lambda: half.merge(half), lambda: vector([(0, sign * SUM_MAX // 2)] * 2), lambda: almost.merge(almost)):
        with pytest.raises(OverflowRefusedError, match=r"state\.overflow"):
            attempt()


def test_a_single_amount_beyond_62_bits_does_not_slip_in_by_merging_with_nothing():
    with pytest.raises(OverflowRefusedError):
        vector([(0, SUM_MAX)])


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_splitting_refuses_a_sum_beyond_62_bits_and_not_amounts_that_only_might_come_so_far(size):
    keys, cells = np.zeros(3, np.int64), np.zeros(3, np.int64)
    half = np.array([SUM_MAX // 2, SUM_MAX // 2, 0])
    with pytest.raises(OverflowRefusedError):
        dict(split(keys, [(cells, half)], size))
    assert dict(split(keys, [(cells, half * np.array([1, -1, 1]))], size)) == {0: Sparse.zero()}
    assert dict(split(np.arange(3), [(cells, half)], size))[1].counts.tolist() == [SUM_MAX // 2]


@pytest.mark.parametrize("blob", [b"x", b"x" * 13, vector([(1, 1), (2, 1)]).to_bytes()[4:], b"\x02\0\0\0\x01\0\0\0" + b"\1" * 16])
def test_damaged_bytes_are_refused(blob):
    with pytest.raises(InvalidStateError):
        Sparse.from_bytes(blob)


def test_a_vector_is_equal_to_vectors_only():
    assert vector([(1, 1)]) != 1
    assert vector([(1, 1)]) != vector([(1, 2)])
