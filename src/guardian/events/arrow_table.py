"""An Arrow table of events: which column says what, and its rows written out as structured JSON.

Columns are named as the fields of an event. Inputs stand in a struct column `features`, or, where there is none, in columns of
their own names; protected attributes in a struct column `attributes`, else where the inputs are. `type`, `model` and `version`
may be said once for the whole table, in the schema's metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from guardian.events.arrow_columns import as_json, categories, instants, is_text, valid
from guardian.events.dead_letter import Problem
from guardian.events.envelope import LABEL_TYPE, PREDICTION_TYPE, SPECVERSION
from guardian.events.reasons import Reason
from guardian.events.rows import Categories
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from guardian.events.shapes import Layout

FEATURES: Final = "features"
ATTRIBUTES: Final = "attributes"
ONCE: Final = ("type", "model", "version")
"""What metadata may say for the whole table; a column of that name wins."""
WORDS: Final = frozenset(
    (
        *ONCE,
        FEATURES,
        ATTRIBUTES,
        "specversion",
        "id",
        "source",
        "time",
        "prediction",
        "score",
        "subject",
        "prediction_id",
        "label",
    )
)
"""Names of columns that are no inputs, unless in the struct column."""
SOURCE: Final = "/arrow"  # Of a row that is written out.


def misfit(schema: Any) -> Problem | None:
    """Say what is wrong with a table as a whole: a column every event needs is not there or all null, or one is no struct."""
    names = {*schema.names, *_once(schema)}
    for name, place in (("id", "$.id"), ("time", "$.time"), ("model", "$.data.model")):
        if name not in names:
            return Problem(Reason.MISSING_FIELD, place, f"The table has no column {name}.")
        if _says_nothing(schema, name):
            return Problem(Reason.MISSING_FIELD, place, f"The column {name} is of type null: no row has one.")
    outcomes = names & {"prediction", "label"}
    if not outcomes:
        return Problem(Reason.MISSING_FIELD, "$.data", "The table has neither a column prediction nor a column label.")
    if all(_says_nothing(schema, name) for name in outcomes):
        return Problem(Reason.MISSING_FIELD, "$.data", "No row has a prediction or a label: their columns are of type null.")
    for name in (FEATURES, ATTRIBUTES):
        if name in schema.names and not pa.types.is_struct(kind := schema.field(name).type):
            return Problem(Reason.WRONG_TYPE, f"$.data.{name}", f"The column {name} is of type {kind}, and must be a struct.")
    return None


def _says_nothing(schema: Any, name: str) -> bool:
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    return bool(pa.types.is_null(kind.value_type if pa.types.is_dictionary(kind) else kind))


def _once(schema: Any) -> dict[str, str]:
    found = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in (schema.metadata or {}).items()}
    return {name: found[name] for name in ONCE if name in found}


@dataclass(frozen=True)
class EventTable:
    """A record batch whose rows are events, of a schema that is no misfit.

    Attributes:
        batch: The rows.
        positions: (n,) int64: the position of each in the step.
    """

    batch: Any
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, which: NDArray[np.int64]) -> EventTable:
        """Return some of the rows, given by number."""
        return EventTable(self.batch.take(pa.array(which)), self.positions[which])

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Columns by name."""
        return dict(zip(self.batch.schema.names, self.batch.columns, strict=True))

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """Columns of inputs by name."""
        if FEATURES in self.columns:
            return self._fields(FEATURES)
        return {name: column for name, column in self.columns.items() if name not in WORDS}

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Columns of protected attributes by name."""
        return self._fields(ATTRIBUTES) if ATTRIBUTES in self.columns else {}

    def _fields(self, name: str) -> dict[str, Any]:
        column = self.columns[name]
        return dict(zip((field.name for field in column.type), column.flatten(), strict=True))

    def column(self, name: str) -> Any:
        """Return a column, of nulls where there is none."""
        return self.columns[name] if name in self.columns else pa.nulls(len(self))

    def text(self, name: str) -> tuple[Categories, NDArray[np.bool_]]:
        """Return a text that may be said once for all rows, None where it is not said, and the rows where it is no text."""
        if name not in self.columns:
            return Categories(np.zeros(len(self), np.int32), [_once(self.batch.schema).get(name)]), np.zeros(len(self), np.bool_)
        column = self.columns[name]
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        found, _ = categories(column)
        return found, np.zeros(len(self), np.bool_) if is_text(kind) else valid(column)

    def kinds(self) -> Categories:
        """Return the type of each event: as it is said, else by which of prediction and label it has."""
        if "type" in self.columns or "type" in _once(self.batch.schema):
            return self.text("type")[0]
        said = [PREDICTION_TYPE, LABEL_TYPE]
        if "label" not in self.columns or "prediction" not in self.columns:
            return Categories(np.full(len(self), int("label" in self.columns)), said)
        return Categories((valid(self.columns["label"]) & ~valid(self.columns["prediction"])).astype(np.int32), said)

    def events(self, layouts: Mapping[str, Layout]) -> list[bytes]:
        """Return each row as structured JSON: keys in one order, what is null left out.

        Inputs are those that the model counts; of a model that is not known none.
        """
        kinds, times = self.kinds().to_list(), self._times()
        models, versions = (self._said(name) for name in ("model", "version"))
        said = {name: as_json(self.column(name)) for name in ("id", "prediction", "score", "prediction_id", "label")}
        inputs = {name: as_json(column) for name, column in self.inputs.items()}
        attributes = {name: as_json(column) for name, column in self.attributes.items()}
        out = []
        for row, kind in enumerate(kinds):
            data = {name: said[name][row] for name in ("prediction", "score", "prediction_id", "label")}
            layout = layouts.get(models[row]) if isinstance(models[row], str) else None
            if kind != LABEL_TYPE:
                data["version"] = versions[row]
                data[FEATURES] = _row(inputs, row, layout.columns if layout else ())
                data[ATTRIBUTES] = _row(attributes, row, layout.protected if layout else ()) or None
            envelope = {"specversion": SPECVERSION, "type": kind, "id": said["id"][row], "source": SOURCE, "time": times[row]}
            event = _without_nulls(envelope | {"data": _without_nulls({"model": models[row]} | data)})
            out.append(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode())
        return out

    def _said(self, name: str) -> list[Any]:
        return as_json(self.columns[name]) if name in self.columns else self.text(name)[0].to_list()

    def _times(self) -> list[Any]:
        """Return times as texts; a number that no text can say, as the number."""
        column, found = self.columns["time"], instants(self.columns["time"])
        if found.raw is None:
            return as_json(column)
        texts = map(format_time, np.where(found.far, 0, found.values).tolist())
        rows = zip(texts, found.raw.tolist(), found.far.tolist(), valid(column).tolist(), strict=True)
        return [(raw if far else text) if there else None for text, raw, far, there in rows]


def _row(columns: Mapping[str, list[Any]], row: int, names: tuple[str, ...]) -> dict[str, Any]:
    return _without_nulls({name: columns[name][row] for name in names if name in columns})


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
