"""Requests and responses of model servers, joined by their id into predictions: a bounded fold over messages in log order.

A half waits for the other, whichever comes first; a copy of one that waits or was joined changes nothing. When too many wait, the
oldest is given up. What comes out depends on the messages and their order alone: no clock, and no sign of how they were batched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import xxhash

from guardian.catalog.model_file import NAME
from guardian.events.dead_letter import Problem
from guardian.events.diagnose import explain, not_json
from guardian.events.encode import encode_prediction
from guardian.events.halves import INFERENCE_TYPE, REQUEST_TYPE, Half, half_of
from guardian.events.inference import model_name, predictions_of
from guardian.events.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardian.catalog.model_file import ModelFile
    from guardian.events.encode import PredictionData
    from guardian.events.halves import Message

PAIRS_MAX: Final = 10_000  # Halves that wait in a partition.
PAIRS_BYTES_MAX: Final = 4 << 20  # Of those halves: they are stored again with every step that changes them.
DONE_MAX: Final = 4_096  # Calls whose further copies are recognised; a logger that sends twice does so at once.
SERVICE_SHOWN: Final = 100  # Characters of an unknown service that a dead letter repeats.
STATE_NAME: Final = "pairs"  # Of the state blob, which is no model's.


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What came in the place of events and ends as a dead letter: its bytes, and what is wrong with them."""

    value: bytes
    problem: Problem


class _State(msgspec.Struct, frozen=True, array_like=True):
    waiting: list[Half]
    done: list[int]


class _Both(msgspec.Struct, frozen=True, gc=False):
    request: msgspec.Raw
    response: msgspec.Raw
    model: str = ""
    version: str | None = None


_both: Final = msgspec.json.Decoder(_Both).decode


@dataclass(frozen=True, slots=True)
class _Call:
    """A request and its response, and what the predictions of it are to say."""

    id: str
    source: str
    time: int
    request: bytes
    response: bytes
    version: str | None = None


class Pairs:
    """The halves of one partition that wait for their others.

    Attributes:
        touched: Whether it differs from what `to_bytes` last returned, or from what it was read from.
    """

    def __init__(self, models: Mapping[str, ModelFile]) -> None:
        """Start with nothing; `models` are the model files by name, as events are decoded by them."""
        self.touched = False
        self._models = models
        self._services: dict[str, list[str]] = {}
        for name, file in sorted(models.items()):
            self._services.setdefault(file.spec.served.service or name, []).append(name)
        self._waiting: dict[tuple[str, ...], Half] = {}  # Oldest first.
        self._bytes = 0
        self._done: dict[int, None] = {}  # Hashes of keys, oldest first.

    @classmethod
    def from_bytes(cls, blob: bytes, models: Mapping[str, ModelFile]) -> Pairs:
        """Return what `to_bytes` made `blob` of."""
        state = msgspec.msgpack.decode(blob, type=_State)
        pairs = cls(models)
        pairs._waiting = {half.key: half for half in state.waiting}
        pairs._bytes = sum(half.size for half in state.waiting)
        pairs._done = dict.fromkeys(state.done)
        return pairs

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of what waits: equal states are equal bytes."""
        self.touched = False
        return msgspec.msgpack.encode(_State(list(self._waiting.values()), list(self._done)))

    def __len__(self) -> int:
        """Return how many halves wait."""
        return len(self._waiting)

    def take(self, message: Message) -> list[bytes | Unreadable]:
        """Fold one message in; return the events that it makes, in row order, and what has become unreadable by it.

        Events are predictions in structured JSON. A first half gives nothing. A message that is not of a model server comes back
        as it is. Messages must come in log order, each once.
        """
        value, half = message.value or b"", half_of(message)
        if half is None:
            return [value]
        if isinstance(half, Problem):
            return [Unreadable(value, half)]
        if half.kind == INFERENCE_TYPE:
            return list(self._whole(value, half))
        if half.service and half.service not in self._services:
            return [Unreadable(value, _unknown(half.service, "$.inferenceservicename"))]
        return list(self._joined(value, half))

    def _joined(self, value: bytes, half: Half) -> Iterator[bytes | Unreadable]:
        mark = _hash(half.key)
        other = self._waiting.get(half.key)
        if mark in self._done or (other is not None and other.kind == half.kind):
            return
        self.touched = True
        if other is None:
            self._waiting[half.key] = half
            self._bytes += half.size
            yield from self._given_up()
            return
        del self._waiting[half.key]
        self._bytes -= other.size
        self._done[mark] = None
        if len(self._done) > DONE_MAX:
            del self._done[next(iter(self._done))]
        request, response = (half, other) if half.kind == REQUEST_TYPE else (other, half)
        time = next(at for at in (response.time, request.time, response.received) if at is not None)
        call = _Call(request.id, request.source, time, request.payload, response.payload)
        yield from self._predictions(value, call, half.service)

    def _whole(self, value: bytes, half: Half) -> Iterator[bytes | Unreadable]:
        try:
            both = _both(half.payload)
        except msgspec.ValidationError as error:
            yield Unreadable(value, _in_data(explain(str(error), "")))
            return
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield Unreadable(value, _in_data(not_json(half.payload, error)))
            return
        call = _Call(half.id, half.source, half.at, bytes(both.request), bytes(both.response), both.version)
        for item in self._predictions(value, call, half.service or both.model):
            yield Unreadable(value, _in_data(item.problem)) if isinstance(item, Unreadable) else item

    def _predictions(self, value: bytes, call: _Call, service: str) -> Iterator[bytes | Unreadable]:
        """Yield the predictions of one call, for each model of its service."""
        place = "$.model" if service else "$.response.model_name"
        service = service or model_name(call.response)
        if service not in self._services:
            yield Unreadable(value, _unknown(service, place))
        for name in self._services.get(service, ()):
            rows = predictions_of(self._models[name], call.request, call.response)
            yield from [Unreadable(value, rows)] if isinstance(rows, Problem) else _events(call, rows)

    def _given_up(self) -> Iterator[Unreadable]:
        """Yield the halves for which there is no room any more, oldest first."""
        while len(self._waiting) > PAIRS_MAX or self._bytes > PAIRS_BYTES_MAX:
            half = self._waiting.pop(next(iter(self._waiting)))
            self._bytes -= half.size
            this, missing = ("request", "response") if half.kind == REQUEST_TYPE else ("response", "request")
            what = f"The {this} at offset {half.offset} waited for its {missing} until there was no room for it."
            name = self._services.get(half.service, [""])[0]
            yield Unreadable(half.payload, Problem(Reason.UNPAIRED, "$", what, name))


def _unknown(service: str, place: str) -> Problem:
    what = f"No model file is of the service {service[:SERVICE_SHOWN]}; spec.serving.service names it where names differ."
    if not service:
        what = "Neither the event nor the response says of which model it is."
    return Problem(Reason.UNKNOWN_MODEL, place, what, service if NAME.fullmatch(service) else "")


def _events(call: _Call, rows: list[PredictionData]) -> list[bytes | Unreadable]:
    """Return the event of each row."""
    ids = [call.id] if len(rows) == 1 else [f"{call.id}/{row}" for row in range(len(rows))]
    if call.version is not None:
        rows = [msgspec.structs.replace(row, version=row.version or call.version) for row in rows]
    return [encode_prediction(each, call.time, row, call.source) for each, row in zip(ids, rows, strict=True)]


def _in_data(problem: Problem) -> Problem:
    """Return the problem of a whole: its place is one in the event."""
    return replace(problem, place=f"$.data{problem.place.removeprefix('$')}")


def _hash(key: tuple[str, ...]) -> int:
    return xxhash.xxh3_64_intdigest(msgspec.msgpack.encode(key))
