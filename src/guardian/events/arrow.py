"""Arrow tables to rows, as strictly as JSON: whole columns are checked at once, and what stands out is decoded as JSON.

A row that JSON could not hold so is written out and given to the typed decoder, which says what is wrong with it in the same
words as ever. So there is one set of rules, and these checks only have to find the rows that might break one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from guardian.events.arrow_columns import categories, identifiers, instants, marked, numbers, valid
from guardian.events.arrow_table import EventTable
from guardian.events.codec import CHUNK_EVENTS, decode, is_version, problem_of
from guardian.events.dead_letter import DeadLetter
from guardian.events.envelope import LABEL_TYPE, PREDICTION_TYPE
from guardian.events.reasons import Reason
from guardian.events.rows import Categories, LabelRows, PredictionRows
from guardian.events.shapes import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from guardian.catalog.model_file import ModelFile
    from guardian.events.placement import Placement


def decode_arrow(
    batch: Any, first: int, models: Mapping[str, ModelFile], placement: Placement | None = None
) -> Iterator[PredictionRows | LabelRows | DeadLetter]:
    """Decode a table of events; every position comes out exactly once, in a row or a dead letter.

    Args:
        batch: A record batch whose schema is no misfit (arrow_table) and whose content is valid (arrow_stream); a row an event.
        first: Position of the first row; the others follow.
        models: Model files by name.
        placement: Which ids may be here; None: all.
    """
    table = EventTable(batch, first + np.arange(batch.num_rows))
    layouts = _layouts(models)
    doubtful = np.ones(len(table), np.bool_)  # Until a group has taken a row, and found nothing wrong.
    for kind, layout, rows in _groups(table, layouts):
        group = table if len(rows) == len(table) else table.take(rows)
        reader = _Group(group, layout, placement)
        good = reader.predictions() if kind == PREDICTION_TYPE else reader.labels()
        doubtful[rows] = reader.bad
        if len(good.positions):
            yield good
    yield from _one_by_one(table, np.flatnonzero(doubtful), models, placement)


def written_out(batch: Any, row: int, models: Mapping[str, ModelFile]) -> bytes:
    """Return a row of a table as structured JSON."""
    return EventTable(batch.slice(row, 1), np.zeros(1, np.int64)).events(_layouts(models))[0]


def _layouts(models: Mapping[str, ModelFile]) -> dict[str, Layout]:
    return {name: Layout.of(name, file) for name, file in models.items()}


def _groups(table: EventTable, layouts: Mapping[str, Layout]) -> Iterator[tuple[str, Layout, NDArray[np.int64]]]:
    """Part rows by type and model; those of no type or model known are of no group."""
    kinds, (models, _) = table.kinds(), table.text("model")
    for kind, model in product(kinds.distinct(), models.distinct()):
        if kind in (PREDICTION_TYPE, LABEL_TYPE) and model in layouts:
            mine = _equal(kinds, kind) & _equal(models, model)
            if mine.any():
                yield kind, layouts[model], np.flatnonzero(mine)


def _equal(found: Categories, wanted: str) -> NDArray[np.bool_]:
    return marked(found, lambda value: bool(value == wanted))


def _one_by_one(
    table: EventTable, rows: NDArray[np.int64], models: Mapping[str, ModelFile], placement: Placement | None
) -> Iterator[PredictionRows | LabelRows | DeadLetter]:
    """Decode rows as JSON."""
    layouts = _layouts(models)
    for start in range(0, len(rows), CHUNK_EVENTS):
        chunk = table.take(rows[start : start + CHUNK_EVENTS])
        far, said = np.flatnonzero(instants(chunk.columns["time"]).far), chunk.text("model")[0].to_list()
        known = {row: problem_of(Reason.TIME_OUT_OF_RANGE, said[row] if said[row] in models else "") for row in far.tolist()}
        for found in decode(chunk.events(layouts), 0, models, known, placement):
            if isinstance(found, DeadLetter):
                yield replace(found, offset=int(chunk.positions[found.offset]))
            else:
                yield replace(found, positions=chunk.positions[found.positions])


class _Group:
    """Reads rows of one type and model; `bad` are those that did not come out."""

    def __init__(self, table: EventTable, layout: Layout, placement: Placement | None) -> None:
        self.table, self.layout, self.placement = table, layout, placement
        self.bad = np.zeros(len(table), np.bool_)

    def predictions(self) -> PredictionRows:
        """Return the good rows of a table of predictions."""
        ids, times = self._ids("id"), self._times()
        versions, bad = self.table.text("version")
        self.bad |= bad | marked(versions, lambda version: isinstance(version, str) and not is_version(version))
        predictions = self._outcome("prediction")
        scores, bad = numbers(self.table.column("score"))
        self.bad |= bad
        if self.layout.task != "regression":
            self.bad |= (scores < 0.0) | (scores > 1.0)
        columns = {name: self._column(name) for name in self.layout.columns}
        self._place(ids)
        return PredictionRows(
            self.layout.model,
            self._good(self.table.positions),
            self._hashes(ids),
            self._good(times),
            self._good(versions),
            self._good(predictions),
            self._good(scores),
            {name: self._good(values) for name, values in columns.items()},
        )

    def labels(self) -> LabelRows:
        """Return the good rows of a table of labels."""
        event_ids, ids, times, labels = self._ids("id"), self._ids("prediction_id"), self._times(), self._outcome("label")
        self._place(ids)
        return LabelRows(
            self.layout.model,
            self._good(self.table.positions),
            self._hashes(ids),
            self._hashes(event_ids),
            self._good(times),
            self._good(labels),
        )

    def _good(self, values: Any) -> Any:
        if not self.bad.any():
            return values
        return values.take(~self.bad) if isinstance(values, Categories) else values[~self.bad]

    def _ids(self, name: str) -> Any:
        """Return ids as (n,) objects: the UTF-8 of each, None where there is none."""
        ids, bad = identifiers(self.table.column(name))
        self.bad |= bad
        return ids.to_numpy(zero_copy_only=False)

    def _place(self, ids: NDArray[Any]) -> None:
        """Mark what belongs in another partition; what is bad in another way says so first."""
        if self.placement is not None:
            good = np.flatnonzero(~self.bad)
            self.bad[good] = self.placement.misplaced(ids[good].tolist())

    def _hashes(self, ids: NDArray[Any]) -> NDArray[np.uint64]:
        good = self._good(ids).tolist()
        return np.fromiter(map(xxhash.xxh3_64_intdigest, good), np.uint64, len(good))

    def _times(self) -> NDArray[np.int64]:
        found = instants(self.table.columns["time"])
        self.bad |= found.bad
        return found.values

    def _outcome(self, name: str) -> Categories | NDArray[np.float64]:
        column = self.table.column(name)
        found, bad = numbers(column) if self.layout.task == "regression" else categories(column)
        self.bad |= bad | ~valid(column)
        return found

    def _column(self, name: str) -> Categories | NDArray[np.float64]:
        """Return an input or a protected attribute; one that is both is read from the attributes first."""
        column = self.table.inputs[name] if name in self.table.inputs else pa.nulls(len(self.table))
        if name in self.layout.numeric:
            values, bad = numbers(column)
            self.bad |= bad
            return values
        found = self._categories(column)
        if name not in self.layout.protected or name not in self.table.attributes:
            return found
        own = self._categories(self.table.attributes[name])
        return _either(own, found) if None in own.values else own

    def _categories(self, column: Any) -> Categories:
        found, bad = categories(column)
        self.bad |= bad
        return found


def _either(attributes: Categories, inputs: Categories) -> Categories:
    """Return the attributes, and where there is none the inputs."""
    lacks = marked(attributes, lambda value: value is None)
    indexes = np.where(lacks, inputs.indexes + len(attributes.values), attributes.indexes)
    return Categories(indexes, [*attributes.values, *inputs.values])
