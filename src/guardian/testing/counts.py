"""Counts from raw rows in plain code: what tests of metrics stand on, and the oracle of the counting code.

Slow on purpose and written apart from the counting code, from catalog.layout's table alone. What that table
leaves open and this module settles: class axes (predicted and true) are in the order of `Parameters.classes`,
so the positive class of a binary model lies at `Parameters.positive`; a prediction of a class outside the
reference is never right; rows without a score add nothing to sums of scores, and rows without a prediction
nothing to sums of errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from guardian.catalog.layout import Space, layout_of, segment_name
from guardian.catalog.parameters import (
    SCORE_BINS,
    CategoricalColumn,
    Column,
    NumericColumn,
    Parameters,
    canonical_key,
)
from guardian.units import FIXED_POINT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class TableCounts:
    """Counts of a table (metrics.base.Counts).

    Attributes:
        parameters: What the cells mean.
        predictions: Rows.
        labelled: Rows with a label.
        parts: Read-only int64 arrays by part name, in the layout's shapes.
    """

    parameters: Parameters
    predictions: int
    labelled: int
    parts: Mapping[str, NDArray[np.int64]]

    def part(self, name: str) -> NDArray[np.int64]:
        """Return the cells of a part in its layout's shape. Raises KeyError."""
        return self.parts[name]

    def vector(self, space: Space) -> NDArray[np.int64]:
        """Return the parts of `space`, shape (space.size,), as panes store them."""
        return np.concatenate([self.parts[part.name].ravel() for part in space.parts])


@dataclass(frozen=True)
class _Row:
    """One row in cells; None where the row has no prediction, score or label."""

    cells: Mapping[str, int]
    predicted: int
    fixed_prediction: int | None
    score: float | None
    true: int | None
    fixed_label: int
    delay: int


def counts_from_rows(
    parameters: Parameters,
    columns: Mapping[str, Sequence[Any]],
    prediction: Sequence[Any],
    score: Sequence[float | None] | None = None,
    label: Sequence[Any] | None = None,
    delay_panes: Sequence[int | None] | None = None,
) -> TableCounts:
    """Count rows as panes do; None or NaN means missing, and in `label` not labelled.

    Args:
        parameters: What to count by.
        columns: Values by column name, each as long as `prediction`; a column left out is missing in every
            row.
        prediction: What the model said; a class of binary models must be one of the two.
        score: Probability of the positive (binary) or predicted (multiclass) class.
        label: The truth.
        delay_panes: Panes between prediction and label, 0 to the horizon; where absent 0.

    Raises ValueError for a prediction or label that is no class of a binary model, IndexError for a delay
    beyond the horizon.

    >>> from guardian.catalog.parameters import CategoricalColumn
    >>> sex = CategoricalColumn("sex", ("1", "2"))
    >>> p = Parameters("binary_classification", (sex,), ("0", "1"), 1, None, (("sex",),), horizon_panes=3)
    >>> said, score = [1, 1, 0, 0], [0.9, 0.6, 0.2, None]
    >>> truth, delay = [1, 0, None, 0], [2, 3, None, 0]
    >>> counts = counts_from_rows(p, {"sex": [1, 2, 2, 9]}, said, score, truth, delay)
    >>> counts.part("column/sex").tolist(), counts.labelled, counts.part("delay/").tolist()
    ([1, 2, 1, 0], 3, [1, 0, 1, 1])
    >>> counts.part("labels/sex")[1, 1, 60].tolist()
    [1, 0]
    """
    layout = layout_of(parameters)
    parts = {part.name: np.zeros(part.shape, np.int64) for space in (layout.inputs, layout.labels) for part in space.parts}
    rows = [_row(parameters, i, columns, prediction, score, label, delay_panes) for i in range(len(prediction))]
    for row in rows:
        for name, cell in row.cells.items():
            parts[f"column/{name}"][cell] += 1
        if row.true is not None:
            parts["delay/"][row.delay] += 1
        for segment in ((), *parameters.segments):
            _count(parameters, row, segment, parts)
    for array in parts.values():
        array.flags.writeable = False
    return TableCounts(parameters, len(rows), sum(row.true is not None for row in rows), parts)


def _row(  # noqa: PLR0913 - the table, as it was given
    parameters: Parameters,
    i: int,
    columns: Mapping[str, Sequence[Any]],
    prediction: Sequence[Any],
    score: Sequence[float | None] | None,
    label: Sequence[Any] | None,
    delay_panes: Sequence[int | None] | None,
) -> _Row:
    cells = {c.name: _cell(c, columns[c.name][i] if c.name in columns else None) for c in parameters.columns}
    said, truth = prediction[i], _given(label, i)
    regression = parameters.prediction is not None
    return _Row(
        cells=cells,
        predicted=_cell(parameters.prediction, said) if parameters.prediction else _class(parameters, said),
        fixed_prediction=_fixed(said, parameters.unit) if regression and not _missing(said) else None,
        score=_given(score, i),
        true=None if truth is None else 0 if regression else _class(parameters, truth),
        fixed_label=_fixed(truth, parameters.unit) if regression and truth is not None else 0,
        delay=_given(delay_panes, i) or 0,
    )


def _given(values: Sequence[Any] | None, i: int) -> Any:
    return None if values is None or _missing(values[i]) else values[i]


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _cell(column: Column, value: Any) -> int:
    if isinstance(column, CategoricalColumn):
        key = canonical_key(_plain(value)) if not _missing(value) else None
        return len(column.keys) + 1 if key is None else column.keys.index(key) if key in column.keys else len(column.keys)
    return _numeric_cell(column, value)


def _numeric_cell(column: NumericColumn, value: Any) -> int:
    if _missing(value):
        return column.bins + 2
    if value < column.low:
        return column.bins
    if value > column.high:
        return column.bins + 1
    return sum(edge <= value for edge in column.edges)


def _class(parameters: Parameters, value: Any) -> int:
    key = canonical_key(_plain(value))
    if parameters.task == "multiclass_classification" and key not in parameters.classes:
        return len(parameters.classes)
    return parameters.classes.index(key)


def _score_cell(score: float | None) -> int:
    return SCORE_BINS if score is None else sum(i / SCORE_BINS <= score for i in range(1, SCORE_BINS))


def _fixed(value: float, unit: float) -> int:
    return int(np.rint(value / unit * FIXED_POINT))


def _square(fixed: int) -> int:
    return (fixed * fixed + FIXED_POINT // 2) >> 20


def _count(parameters: Parameters, row: _Row, segment: tuple[str, ...], parts: dict[str, NDArray[np.int64]]) -> None:
    """Add one row to the parts of one segment."""
    name, group = segment_name(segment), 0
    for column in parameters.population(segment):
        group = group * column.cells + row.cells[column.name]
    cell = _score_cell(row.score)
    parts[f"outcome/{name}"][(group, row.predicted) if parameters.prediction else (group, row.predicted, cell)] += 1
    if row.true is None:
        return
    match parameters.task:
        case "binary_classification":
            parts[f"labels/{name}"][group, row.predicted, cell, row.true] += 1
            if row.score is not None:
                fixed = _fixed(row.score, 1.0)
                parts[f"sums/{name}"][group, row.true] += (fixed, _square(fixed))
        case "multiclass_classification":
            right = row.predicted == row.true and row.predicted < len(parameters.classes)
            parts[f"labels/{name}"][group, row.predicted, row.true] += 1
            parts[f"calibration/{name}"][group, cell, int(right)] += 1
        case "regression" if row.fixed_prediction is not None:
            error = row.fixed_prediction - row.fixed_label
            label = row.fixed_label
            parts[f"sums/{name}"][group] += (1, error, abs(error), _square(error), label, _square(label))
