"""Where ids belong: as Java's client and librdkafka say, whole batches at a time, and the remedy for what came elsewhere."""

import zlib

import numpy as np
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from guardian.events.codec import decode
from guardian.events.dead_letter import DeadLetter
from guardian.events.placement import Placement, _murmur2, _packed, partitions_of
from guardian.events.reasons import Reason
from guardian.testing.example_events import LABEL, MODELS, PREDICTION

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), min_size=1, max_size=30)

# Cases of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def test_murmur2_as_the_java_client_computes_it():
    assert _murmur2(*_packed(list(VECTORS))).view(np.int32).tolist() == list(VECTORS.values())


@given(IDS, st.integers(1, 300))
def test_whole_batches_go_where_one_by_one_would(ids, partitions):
    each = [(murmur2(key.encode()) & 0x7FFFFFFF) % partitions for key in ids]
    assert partitions_of("murmur2", ids, partitions).tolist() == each
    assert partitions_of("murmur2", [key.encode() for key in ids], partitions).tolist() == each
    each = [zlib.crc32(key.encode()) % partitions for key in ids]
    assert partitions_of("crc32", ids, partitions).tolist() == each
    assert partitions_of("crc32", [key.encode() for key in ids], partitions).tolist() == each


@given(IDS, st.sampled_from(["murmur2", "crc32"]))
def test_each_id_is_at_home_in_one_partition(ids, partitioner):
    ids = [key.replace("/", "-") for key in ids]  # Rows of a request have two.
    at_home = sum((~Placement(partitioner, 7, number).misplaced(ids)).astype(int) for number in range(7))
    assert at_home.tolist() == [1] * len(ids)


def test_nothing_is_checked_where_no_partitioner_is_expected():
    for placement in (Placement("none", 7, 3), Placement("murmur2", 1, 0), Placement("crc32", 1, 0)):
        assert not placement.misplaced(["a", "b", "c", "d"]).any()
    assert Placement("murmur2", 7, 0).misplaced([]).tolist() == []


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_a_prediction_and_its_label_are_at_home_together_and_elsewhere_dead_letters(partitioner):
    home = int(partitions_of(partitioner, ["loan-1"], 6)[0])
    events = [PREDICTION, LABEL, PREDICTION.replace(b'"loan-1"', b'""')]
    for number in range(6):
        found = list(decode(events, 0, MODELS, placement=Placement(partitioner, 6, number)))
        letters = {letter.offset: letter for letter in found if isinstance(letter, DeadLetter)}
        assert letters[2].reason == Reason.BAD_ID  # What is wrong with an event by itself comes first.
        assert set(letters) == ({2} if number == home else {0, 1, 2})
        for at, place in ((0, "$.id"), (1, "$.data.prediction_id")):
            if number != home:
                assert (letters[at].reason, letters[at].place, letters[at].model) == (Reason.WRONG_PARTITION, place, "loans")
                assert f"belongs to partition {home} of 6, and it came in partition {number}" in letters[at].detail
                assert {"murmur2": "murmur2_random", "crc32": "consistent_random"}[partitioner] in letters[at].detail
        assert sum(len(rows.positions) for rows in found if not isinstance(rows, DeadLetter)) == (2 if number == home else 0)


def test_neighbours_of_a_misplaced_event_are_counted():
    ids = [f"loan-{i}" for i in range(1_200)]
    events = [PREDICTION.replace(b'"loan-1"', f'"{key}"'.encode()) for key in ids]
    placement = Placement("murmur2", 4, 2)
    found = list(decode(events, 0, MODELS, placement=placement))
    kept = np.concatenate([rows.positions for rows in found if not isinstance(rows, DeadLetter)])
    assert np.array_equal(kept, np.flatnonzero(partitions_of("murmur2", ids, 4) == 2))
    assert sum(isinstance(letter, DeadLetter) for letter in found) == len(ids) - len(kept)


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_rows_of_one_request_may_lie_where_the_request_belongs(partitioner):
    rows = [f"call-{n}/{row}" for n in range(40) for row in range(3)]
    whole, stems = (partitions_of(partitioner, ids, 6) for ids in (rows, [row.partition("/")[0] for row in rows]))
    for number in range(6):
        wrong = Placement(partitioner, 6, number).misplaced(rows)
        assert wrong.tolist() == ((whole != number) & (stems != number)).tolist()
    assert (whole != stems).any()
