"""Rows of tables to events: predictions and labels, in order of time.

Takes batches of columns (plain values; adapters.tables gives them) and a model file, whose spec.columns says which column holds
what. Gives each row's time and event. A row that cannot be made an event, because it has no id, time or outcome, is a reject
with its number; one that merely does not fit the model becomes an event all the same, and a dead letter when it is decoded.
"""

from __future__ import annotations

import datetime as dt
import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardian.catalog.parameters import canonical_key
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.events.envelope import TIME_MS_MAX

if TYPE_CHECKING:
    from guardian.catalog.model_file import ModelFile

Batch = Mapping[str, Sequence[Any]]

REJECTS_KEPT_MAX: Final = 100  # Of each run, with row and reason; all are counted.

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)


class Timed(NamedTuple):
    """An event and its time in UTC milliseconds."""

    time_ms: int
    event: bytes


class RejectReason(StrEnum):
    """Why a row could not be made an event."""

    NO_ID = "no-id"
    NO_TIME = "no-time"
    NO_VALUE = "no-value"
    BAD_TIME = "bad-time"
    NOT_FINITE = "not-finite"


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be made an event; `row` counts from 1, without a header."""

    table: str
    row: int
    reason: RejectReason


@dataclass
class Rejects:
    """All rejects are counted, the first ones kept."""

    count: int = 0
    first: list[Reject] = field(default_factory=list)

    def add(self, reject: Reject) -> None:
        """Take one more."""
        self.count += 1
        if len(self.first) < REJECTS_KEPT_MAX:
            self.first.append(reject)


class _CannotBeAnEventError(Exception):
    """Ends one row."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason)
        self.reason = reason


def prediction_columns(model: ModelFile) -> tuple[str, ...]:
    """Return the columns that a table of `model`'s predictions must have."""
    columns = model.spec.columns
    own = (columns.id, columns.time, columns.prediction, columns.score, columns.version)
    return tuple(dict.fromkeys((*filter(None, own), *model.spec.column_names)))


def label_columns(model: ModelFile) -> tuple[str, ...]:
    """Return the columns that a table of `model`'s labels must have."""
    columns = model.spec.columns
    return tuple(dict.fromkeys((columns.id, columns.time, columns.label)))


def predictions(batches: Iterable[Batch], model: ModelFile, rejects: Rejects) -> Iterator[Timed]:
    """Return each row's prediction event, in the table's order."""
    return _events("predictions", _prediction, batches, model, rejects)


def labels(batches: Iterable[Batch], model: ModelFile, rejects: Rejects) -> Iterator[Timed]:
    """Return each row's label event, in the table's order."""
    return _events("labels", _label, batches, model, rejects)


def in_time_order(batches: Iterable[Batch], column: str) -> bool:
    """Say whether the times in `column` never go back; values that are no time are passed over."""
    last = 0
    for batch in batches:
        for value in batch[column]:
            try:
                at = _time_ms(value)
            except _CannotBeAnEventError:
                continue
            if at < last:
                return False
            last = at
    return True


def by_time(events: Iterable[Timed]) -> Iterator[Timed]:
    """Return events sorted by time, those of one time in their order. Holds them all."""
    return iter(sorted(events, key=attrgetter("time_ms")))


def merged(first: Iterable[Timed], second: Iterable[Timed]) -> Iterator[Timed]:
    """Merge two streams that are in order of time; at equal times those of `first`, the predictions, come first."""
    return heapq.merge(first, second, key=attrgetter("time_ms"))


def _events(
    table: str,
    make: Callable[[Mapping[str, Any], ModelFile], Timed],
    batches: Iterable[Batch],
    model: ModelFile,
    rejects: Rejects,
) -> Iterator[Timed]:
    row = 0
    for batch in batches:
        names = tuple(batch)
        for values in zip(*batch.values(), strict=True):
            row += 1
            try:
                yield make(dict(zip(names, values, strict=True)), model)
            except _CannotBeAnEventError as error:
                rejects.add(Reject(table, row, error.reason))


def _label(values: Mapping[str, Any], model: ModelFile) -> Timed:
    columns = model.spec.columns
    at, prediction_id = _time_ms(values[columns.time]), _id(values[columns.id])
    data = LabelData(prediction_id=prediction_id, model=model.name, label=_outcome(values[columns.label], model))
    return Timed(at, encode_label(at, data))


def _prediction(values: Mapping[str, Any], model: ModelFile) -> Timed:
    spec, columns = model.spec, model.spec.columns
    at, event_id = _time_ms(values[columns.time]), _id(values[columns.id])
    features = {
        name: _number(values[name]) if feature.type == "numeric" else _category(values[name])
        for name, feature in spec.features.items()
        if values[name] is not None
    }
    version = values[columns.version] if columns.version else None
    data = PredictionData(
        model=model.name,
        version=spec.champion if version is None else _text(version),
        features=features,
        prediction=_outcome(values[columns.prediction], model),
        score=_number(values[columns.score]) if columns.score else None,
        attributes={name: _category(values[name]) for name in spec.attributes if values[name] is not None},
    )
    return Timed(at, encode_prediction(event_id, at, data))


def _id(value: Any) -> str:
    if value is None or value == "":
        raise _CannotBeAnEventError(RejectReason.NO_ID)
    return _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_key(value)


def _category(value: Any) -> Any:
    """Return one spelling of a category, so that a number and its text in another format make the same event."""
    kind = type(value)  # Most are text: exact types are twice as quick as isinstance on this, the busiest line of emit.
    return canonical_key(value) if kind is int or kind is float else value


def _number(value: Any) -> Any:
    """Return a number as a float; what is none stays, and is told apart when the event is decoded."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if isinstance(value, int | float):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):  # JSON has no word for it, and it must not pass for missing.
            raise _CannotBeAnEventError(RejectReason.NOT_FINITE)
    return value


def _outcome(value: Any, model: ModelFile) -> Any:
    """Return a class as it stands, a regression's value as a number."""
    if value is None:
        raise _CannotBeAnEventError(RejectReason.NO_VALUE)
    if model.spec.task == "regression" or isinstance(value, float):
        return _number(value)
    return value


def _time_ms(value: Any) -> int:
    """Return UTC milliseconds of a number of them or of ISO 8601 text, which without an offset is UTC."""
    if value is None or value == "":
        raise _CannotBeAnEventError(RejectReason.NO_TIME)
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            raise _CannotBeAnEventError(RejectReason.BAD_TIME) from None
        value = ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH) // _MILLISECOND
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= TIME_MS_MAX:
        raise _CannotBeAnEventError(RejectReason.BAD_TIME)
    return value
