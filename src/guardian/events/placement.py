"""Which partition of a log an id belongs to, as the producers' partitioners say: whole batches at a time.

All events of a prediction must meet in one partition. Clients differ in where they send a key by default: Java's hash it with
murmur2, librdkafka's with CRC-32. Takes ids; gives which of them a partition should not have been sent.

Sources: `Utils.murmur2` and `toPositive` of Apache Kafka's Java client; `rd_kafka_msg_partitioner_consistent` of librdkafka.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from guardian.events.dead_letter import Problem
from guardian.events.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

Partitioner = Literal["murmur2", "crc32", "none"]

_SEED: Final = np.uint32(0x9747B28C)
_FACTOR: Final = np.uint32(0x5BD1E995)
_POSITIVE: Final = np.uint32(0x7FFFFFFF)
_SAID: Final = {
    "murmur2": "murmur2, as Java's clients do by default (in librdkafka: partitioner=murmur2_random)",
    "crc32": "CRC-32, as librdkafka does by default (partitioner=consistent_random)",
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where ids belong.

    Attributes:
        partitioner: What the producers are to hash keys with; `none` leaves it to them, and nothing is checked.
        partitions: How many partitions the log has.
        number: The partition at hand.
    """

    partitioner: Partitioner
    partitions: int
    number: int

    def misplaced(self, ids: Sequence[str] | Sequence[bytes]) -> NDArray[np.bool_]:
        """Return, for each id (text, or its UTF-8), whether it belongs to another partition, shape (n,).

        A row of a model server's request, `ID/ROW`, may lie where `ID` belongs: the request was keyed by that.

        >>> Placement("murmur2", 12, 4).misplaced(["21", "foobar"])
        array([ True,  True])
        """
        if self.partitioner == "none" or self.partitions == 1 or not len(ids):
            return np.zeros(len(ids), np.bool_)
        wrong: NDArray[np.bool_] = partitions_of(self.partitioner, ids, self.partitions) != self.number
        stems = {place: stem for place in np.flatnonzero(wrong).tolist() if (stem := _stem(ids[place]))}
        if stems:
            wrong[list(stems)] = partitions_of(self.partitioner, list(stems.values()), self.partitions) != self.number
        return wrong

    def problem(self, event_id: str, place: str, model: str) -> Problem:
        """Say what is wrong with an event of `event_id`, which is misplaced, and what to do about it."""
        where = int(partitions_of(self.partitioner, [event_id], self.partitions)[0])
        what = f"this id belongs to partition {where} of {self.partitions}, and it came in partition {self.number}"
        remedy = f"send events with the prediction's id as their key, hashed with {_SAID[self.partitioner]}."
        return Problem(Reason.WRONG_PARTITION, place, f"{what}; {remedy}", model)


def partitions_of(partitioner: Partitioner, ids: Sequence[str] | Sequence[bytes], partitions: int) -> NDArray[np.int64]:
    """Return the partition of each id, shape (n,), from 0. Not for `none`, which says nothing.

    >>> partitions_of("crc32", ["loan-1", "loan-2"], 6), partitions_of("murmur2", ["loan-1", "loan-2"], 6)
    (array([5, 5]), array([3, 0]))
    """
    if partitioner == "crc32":
        return np.fromiter(map(zlib.crc32, _encoded(ids)), np.int64, len(ids)) % partitions
    hashes = _murmur2(*_packed(ids))
    return (hashes & _POSITIVE).astype(np.int64) % partitions


def _stem(event_id: str | bytes) -> str:
    """Return the request's id in `ID/ROW`; empty where an id is none such.

    >>> _stem("call-1/0"), _stem("call-1"), _stem("a/b")
    ('call-1', '', '')
    """
    text = event_id.decode(errors="replace") if isinstance(event_id, bytes) else event_id
    stem, slash, row = text.rpartition("/")
    return stem if slash and row.isascii() and row.isdigit() else ""


def _encoded(ids: Sequence[Any]) -> Iterable[bytes]:
    return map(str.encode, ids) if isinstance(ids[0], str) else ids


def _packed(ids: Sequence[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of all ids one after the other, and the length of each."""
    if isinstance(ids[0], str) and (joined := "".join(ids)).isascii():  # Then characters are bytes.
        whole = joined.encode()
    else:
        ids = list(_encoded(ids))
        whole = b"".join(ids)
    return np.frombuffer(whole, np.uint8), np.fromiter(map(len, ids), np.int64, len(ids))


def _murmur2(data: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the hash of each key: of keys of one length at once."""
    if lengths.min() == lengths.max():
        return _hashed(data.reshape(len(lengths), lengths[0]))
    starts = np.cumsum(lengths) - lengths
    out = np.empty(len(lengths), np.uint32)
    for size in np.unique(lengths).tolist():
        which = np.flatnonzero(lengths == size)
        out[which] = _hashed(data[starts[which][:, None] + np.arange(size)])
    return out


def _hashed(keys: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the hash of each row of bytes."""
    n, size = keys.shape
    whole = size // 4 * 4
    words = np.ascontiguousarray(keys[:, :whole]).view("<u4").T * _FACTOR
    words ^= words >> 24
    words *= _FACTOR
    found = np.full(n, _SEED ^ np.uint32(size), np.uint32)
    for word in words:
        found *= _FACTOR
        found ^= word
    for i in range(whole, size):
        found ^= keys[:, i].astype(np.uint32) << 8 * (i - whole)
    if whole < size:
        found *= _FACTOR
    found ^= found >> 13
    found *= _FACTOR
    found ^= found >> 15
    return found
