"""The topic of events as a log that takes events in, for `engine.emit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from guardian.adapters.kafka import admin
from guardian.adapters.kafka.producer import Outgoing
from guardian.events.envelope import PREDICTION_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardian.adapters.kafka.connection import Broker
    from guardian.adapters.kafka.producer import Producer

CONTENT_TYPE: Final = (("content-type", b"application/cloudevents+json"),)


class _Data(msgspec.Struct, gc=False):
    prediction_id: str = ""


class _Envelope(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


_decode: Final = msgspec.json.Decoder(_Envelope).decode


def key_of(event: bytes) -> bytes | None:
    """Return the id of the prediction that an event is of or about: its key. None where it cannot be told.

    >>> key_of(b'{"type": "io.guardian.prediction.v1", "id": "p1", "data": {}}')
    b'p1'
    >>> key_of(b'{"type": "io.guardian.label.v1", "id": "l1", "data": {"prediction_id": "p1"}}')
    b'p1'
    >>> key_of(b'{"type": ')
    """
    try:
        envelope = _decode(event)
        identifier = envelope.id if envelope.type == PREDICTION_TYPE else envelope.data.prediction_id
        return identifier.encode() or None
    except (msgspec.DecodeError, UnicodeError):
        return None


class KafkaLog:
    """A topic as a log that takes events in.

    Its offsets are sums over the partitions, so they count records and are no record's place. While others write too, what
    `append` returns is counted from the last `end`, and is a little behind.
    """

    def __init__(self, broker: Broker, producer: Producer, topic: str) -> None:
        self._broker = broker
        self._producer = producer
        self._topic = topic
        self._end: int | None = None

    def append(self, events: Sequence[bytes], received_at: int) -> int:
        """Write events, each keyed by its prediction's id and stamped `received_at`; return how many records were before.

        All are acknowledged when it returns. Raises BrokerUnreachableError, after which some may have been written.
        """
        first = self.end() if self._end is None else self._end
        self._producer.send(self._topic, [Outgoing(key_of(event), event, CONTENT_TYPE, received_at) for event in events])
        self._end = first + len(events)
        return first

    def end(self) -> int:
        """Return the sum of the offsets that the partitions' next records will get. Raises BrokerUnreachableError."""
        self._end = sum(extent.end for extent in admin.extents(self._broker, self._topic).values())
        return self._end
