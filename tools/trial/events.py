"""The demo's events, as `guardian emit` makes them, in slices that can be sent one after the other."""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Final

from guardian.adapters.home.files import copy_files, packed_data, packed_policies, read_policies
from guardian.adapters.kafka.connection import Broker, BrokerUnreachableError
from guardian.adapters.kafka.log import CONTENT_TYPE, key_of
from guardian.adapters.kafka.producer import Outgoing, Producer
from guardian.adapters.tables.table import open_table
from guardian.pipeline import tabular
from guardian.policies.load import load_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from guardian.config import Home

FAMILIES: Final = {"employment-ma": "employment", "car-loan": "car-loan"}  # What the names of its files begin with.
STEMS: Final = {"employment-ma": "employment", "car-loan": "car_loan"}
LOOK_S: Final = 0.05
SEND_S: Final = 120.0  # Longer than any fault of a broker lasts.


def copy_models(home: Home, models: Iterable[str]) -> None:
    """Put the packaged files and reference of these models into a home."""
    for model in models:
        copy_files(sorted(packed_policies().glob(f"{FAMILIES[model]}*.yaml")), home.policies)
        copy_files([packed_data() / f"{STEMS[model]}_reference.parquet"], home.data)


def events_of(policies: Path, model: str, count: int | None = None) -> list[bytes]:
    """Return a model's predictions and labels in order of time, the first `count` of them, or all."""
    file = load_set(read_policies(policies)).models[model]
    rejects = tabular.Rejects()
    kinds = (
        ("predictions", tabular.prediction_columns(file), tabular.predictions),
        ("labels", tabular.label_columns(file), tabular.labels),
    )
    streams = []
    for kind, columns, make in kinds:
        table = open_table(packed_data() / f"{STEMS[model]}_{kind}.parquet")
        streams.append(make(table.batches(columns), file, rejects))  # The packaged tables are in order of time.
    return [timed.event for timed in islice(tabular.merged(*streams), count)]


def slices(streams: Sequence[Sequence[bytes]], count: int) -> list[list[bytes]]:
    """Cut streams into `count` slices, each with its share of every stream.

    >>> slices([[b"a", b"b", b"c"], [b"x"]], 2)
    [[b'a'], [b'b', b'c', b'x']]
    """
    return [
        [event for stream in streams for event in stream[len(stream) * i // count : len(stream) * (i + 1) // count]]
        for i in range(count)
    ]


class Feeder(threading.Thread):
    """Sends slices evenly over a span of time, each until all of it is acknowledged.

    Attributes:
        allowed: The share of the slices that may be sent by now: what is left is there when it is needed.
        sent: Events that are acknowledged.
        resent: Events that were sent again, because nobody said whether they had arrived.
        failure: What ended it early.
    """

    def __init__(self, broker: Broker, parts: Sequence[Sequence[bytes]], seconds: float) -> None:
        super().__init__(name="feeder", daemon=True)
        self._broker, self._parts, self._seconds = broker, parts, seconds
        self._end = threading.Event()
        self.allowed = 1.0
        self.sent = self.resent = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        producer = Producer(self._broker, timeout_s=SEND_S)
        begin, every = time.monotonic(), self._seconds / max(1, len(self._parts))
        try:
            for number, part in enumerate(self._parts):
                while number >= self.allowed * len(self._parts) or time.monotonic() < begin + number * every:
                    if self._end.wait(LOOK_S):
                        return
                self._send(producer, [Outgoing(key_of(event), event, CONTENT_TYPE) for event in part])
                self.sent += len(part)
        except BaseException as error:  # Raised where the feeder is waited for.
            self.failure = error
        finally:
            producer.close()

    def _send(self, producer: Producer, records: list[Outgoing]) -> None:
        while records and not self._end.is_set():
            try:
                producer.send(self._broker.events, records)
                records = []
            except BrokerUnreachableError as error:
                known = error.acknowledged or [None] * len(records)
                records = [record for record, place in zip(records, known, strict=True) if place is None]
                self.resent += len(records)
                self._end.wait(0.5)

    def stop(self) -> None:
        """End it before everything is sent."""
        self._end.set()
