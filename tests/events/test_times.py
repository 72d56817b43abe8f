"""RFC 3339 in columns: equal to reading one by one, whatever the forms and their mixture."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.events.envelope import TIME_MS_MAX
from guardian.events.reasons import Reason
from guardian.events.times import parse_times
from guardian.units import format_time, parse_time

FORMS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%f+00:00")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
moments = st.integers(0, TIME_MS_MAX).map(lambda at: EPOCH + dt.timedelta(milliseconds=at))
characters = st.text(st.sampled_from("0123456789-:.TZ+ "), max_size=26)


@given(st.lists(moments, max_size=20), st.sampled_from(FORMS))
def test_uniform_columns_agree_with_one_by_one(found, form):
    texts = [moment.strftime(form) for moment in found]
    times, bad = parse_times(texts)
    assert not bad
    assert times.tolist() == [parse_time(text) for text in texts]


@given(st.lists(st.integers(0, TIME_MS_MAX), max_size=20))
def test_what_is_written_is_read(instants):
    assert parse_times([format_time(at) for at in instants])[0].tolist() == instants


@given(st.lists(st.one_of(characters, moments.map(lambda m: m.strftime(FORMS[0]))), max_size=12))
def test_any_text_gets_the_time_or_reason_it_has_alone(texts):
    times, bad = parse_times(texts)
    for row, text in enumerate(texts):
        alone, reason = parse_times([text])
        assert (times[row], bad.get(row)) == (alone[0], reason.get(0))


@given(st.lists(moments, min_size=1, max_size=12), st.sampled_from(FORMS), st.data())
def test_a_wrong_text_changes_none_beside_it(found, form, data):
    texts = [moment.strftime(form) for moment in found]
    row = data.draw(st.integers(0, len(texts) - 1))
    place = data.draw(st.integers(0, len(texts[row]) - 1))
    wrong = texts[row][:place] + data.draw(st.sampled_from("x9ü-")) + texts[row][place + 1 :]
    times, bad = parse_times([*texts[:row], wrong, *texts[row + 1 :]])
    (alone,), reason = parse_times([wrong])
    assert bad == {row: reason[0]} if reason else not bad
    assert times.tolist() == [alone if i == row else parse_time(text) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.9999999z", 999),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1970-01-01T00:00:00-00:01", 60_000),
        ("9999-12-31T23:59:59.999Z", TIME_MS_MAX),
        ("1969-12-31T23:59:59.999Z", Reason.TIME_OUT_OF_RANGE),
        ("1970-01-01T00:00:00+00:01", Reason.TIME_OUT_OF_RANGE),
        ("9999-12-31T23:59:59-01:00", Reason.TIME_OUT_OF_RANGE),
        ("0000-01-01T00:00:00Z", Reason.BAD_TIME),
        ("1970-01-01T00:00:00", Reason.BAD_TIME),
        ("1970-01-01T24:00:00Z", Reason.BAD_TIME),
        ("1970-01-01T23:59:60Z", Reason.BAD_TIME),
        ("1970-02-30T00:00:00Z", Reason.BAD_TIME),
        ("1970-01-01T00:00:00,5Z", Reason.BAD_TIME),
        ("19700101T000000Z", Reason.BAD_TIME),
        ("1970-01-01", Reason.BAD_TIME),
        ("1970-01-01T00:00:00+25:00", Reason.BAD_TIME),
        ("１９７０-01-01T00:00:00Z", Reason.BAD_TIME),
        ("", Reason.BAD_TIME),
    ],
)
def test_edges(text, want):
    times, bad = parse_times([text])
    assert bad.get(0, times[0]) == want
    assert times.dtype == np.int64


def test_a_text_cannot_lend_its_neighbour_a_character():
    _, bad = parse_times(["1970-01-01T00:00:00", "Z1970-01-01T00:00:00Z"])
    assert bad == {0: Reason.BAD_TIME, 1: Reason.BAD_TIME}
