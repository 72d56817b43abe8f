"""Which records of a delivery are counted: each once, in order, never past a hole that is not the log's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.engine.continuity import Admission, Answer, admit
from guardian.testing.simulated_log import SimulatedRecord

offsets = st.sets(st.integers(0, 60), min_size=1, max_size=30).map(sorted)
holes = st.none() | st.tuples(st.integers(0, 60), st.integers(0, 60))


def records(of):
    return [SimulatedRecord(offset, 0, None, b"") for offset in of]


@given(st.integers(0, 70), offsets, holes)
def test_what_is_taken_follows_on_what_was_counted_or_on_the_confirmed_hole(expected, of, reread):
    found = admit(expected, records(of), reread)
    taken = of[found.first : found.last]
    match found.answer:
        case Answer.STALE:
            assert of[-1] < expected
            assert found == Admission(Answer.STALE)
        case Answer.REREAD:
            assert found.hole == (expected, min(offset for offset in of if offset >= expected)) != reread
            assert found.hole[1] > expected
        case Answer.TAKE:
            begin = expected if found.hole is None else found.hole[1]
            assert found.hole in (None, reread)
            assert taken == list(range(begin, begin + len(taken))) != []
            assert taken[-1] + 1 not in of
            assert found.hole is None or not set(range(*found.hole)) & set(of)


@given(st.integers(0, 60), offsets)
def test_a_hole_is_believed_when_it_comes_again_and_not_before(expected, of):
    first = admit(expected, records(of), None)
    if first.answer is Answer.REREAD:
        again = admit(expected, records(of), first.hole)
        assert (again.answer, again.hole) == (Answer.TAKE, first.hole)
        elsewhere = (first.hole[0], first.hole[1] + 1)
        assert admit(expected, records(of), elsewhere) == first


@given(offsets, st.data())
def test_any_cuts_and_copies_of_a_log_are_counted_as_the_log(of, data):
    """A client that obeys, whatever it delivers in between: the log's records, each once, and its holes."""
    counted, gaps, expected, reread = [], [], 0, None
    while expected <= of[-1]:
        begin = data.draw(st.integers(0, max(expected, of[-1]))) if reread is None else expected
        left = [offset for offset in of if offset >= begin]
        delivered = left[: data.draw(st.integers(1, 8))]
        while delivered:
            found = admit(expected, records(delivered), reread)
            reread = found.hole if found.answer is Answer.REREAD else reread if found.answer is Answer.STALE else None
            if found.answer is not Answer.TAKE:
                break
            gaps += [found.hole] if found.hole else []
            counted += delivered[found.first : found.last]
            expected = counted[-1] + 1
            delivered = delivered[found.last :]
    assert counted == of
    missing = {offset for begin, end in gaps for offset in range(begin, end)}
    assert missing == set(range(of[-1] + 1)) - set(of)


@pytest.mark.parametrize(
    ("of", "reread", "found"),
    [
        ([3, 4], None, Admission(Answer.STALE)),
        ([3, 4, 5, 6], None, Admission(Answer.TAKE, 2, 4)),
        ([5], None, Admission(Answer.TAKE, 0, 1)),
        ([4, 6, 7], None, Admission(Answer.REREAD, hole=(5, 6))),
        ([4, 6, 7, 9], (5, 6), Admission(Answer.TAKE, 1, 3, (5, 6))),
        ([5, 7], (5, 7), Admission(Answer.TAKE, 0, 1)),
    ],
)
def test_cases(of, reread, found):
    assert admit(5, records(of), reread) == found
