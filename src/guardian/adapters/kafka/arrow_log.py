"""The topic of events as a log that takes events in bulk: many in one record, as an Arrow stream."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from guardian.adapters.kafka.log import CONTENT_TYPE, key_of
from guardian.adapters.kafka.partitioning import PARTITIONERS
from guardian.adapters.kafka.producer import Outgoing
from guardian.events.arrow_batches import arrow_of
from guardian.events.unwrap import ARROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardian.adapters.kafka.producer import Producer

ARROW_TYPE: Final = (("content-type", ARROW.encode()),)
ROWS_MAX: Final = 5_000  # Of one record: about a megabyte at twenty features, before it is compressed.


class ArrowLog:
    """A topic as a log that takes events in; it counts the events that it was given, wherever they lie.

    Args:
        producer: Sends.
        topic: Where to.
        partitioner: By which an id's partition is chosen: the one that the producers of single events use.
    """

    def __init__(self, producer: Producer, topic: str, partitioner: str) -> None:
        self._producer = producer
        self._topic = topic
        self._choose = PARTITIONERS[partitioner]
        self._taken = 0

    def append(self, events: Sequence[bytes], received_at: int) -> int:
        """Write events, those of one partition together, stamped `received_at`; return how many were taken before.

        All are acknowledged when it returns. Raises BrokerUnreachableError, after which some may have been written.
        """
        first, partitions = self._taken, self._producer.partitions(self._topic)
        parted: defaultdict[int, list[bytes]] = defaultdict(list)
        for event in events:
            parted[self._choose(key_of(event) or b"", partitions)].append(event)
        records = [record for number, own in sorted(parted.items()) for record in _records(number, own, received_at)]
        self._producer.send(self._topic, records)
        self._taken += len(events)
        return first

    def end(self) -> int:
        """Return how many events were taken."""
        return self._taken


def _records(partition: int, events: Sequence[bytes], received_at: int) -> Iterator[Outgoing]:
    for start in range(0, len(events), ROWS_MAX):
        for bundle in arrow_of(events[start : start + ROWS_MAX]):
            kind, key = (ARROW_TYPE, None) if bundle.is_arrow else (CONTENT_TYPE, key_of(bundle.value))
            yield Outgoing(key, bundle.value, kind, received_at, partition)
