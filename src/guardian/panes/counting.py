"""Coded rows to pane vectors: where each row and each label counts, over all parts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from guardian.catalog.layout import layout_of, segment_name
from guardian.catalog.parameters import SCORE_CELLS
from guardian.panes.coding import coding_of, fixed_point, fixed_square, numeric_cells, outcome_codes, population_codes
from guardian.panes.pane import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from guardian.catalog.parameters import Parameters
    from guardian.panes.pane import Counted, Sparse


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows coded under one set of parameters; arrays are (n,), `columns` is (number of columns, n).

    Attributes:
        columns: Cell of each column, in the parameters' order.
        population: Code of the protected attributes that segments use.
        outcomes: Outcome cell.
        values: Fixed-point score, or a regression's prediction.
        refused: Rows whose prediction is no class, or out of range.
    """

    columns: NDArray[np.int32]
    population: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    values: NDArray[np.int64]
    refused: NDArray[np.bool_]

    def location_cells(self, parameters: Parameters) -> NDArray[np.int64]:
        """Return the cell that a ledger row keeps: population and outcome in one number."""
        return self.population * coding_of(parameters).outcomes + self.outcomes

    def take(self, which: NDArray[np.bool_]) -> Cells:
        """Return some of the rows."""
        return Cells(
            self.columns[:, which], self.population[which], self.outcomes[which], self.values[which], self.refused[which]
        )


def code_rows(
    parameters: Parameters,
    columns: Mapping[str, Any],
    predictions: Sequence[Any] | NDArray[Any],
    scores: NDArray[np.float64],
) -> Cells:
    """Code whole columns: numeric ones as float64 (NaN missing), categorical ones and classes raw, or already coded as int32."""
    coding = coding_of(parameters)
    cells: dict[str, NDArray[np.int32]] = {}
    for column in parameters.columns:
        values = columns[column.name]
        if column.name in coding.bins:
            cells[column.name] = numeric_cells(coding, column.name, np.asarray(values, np.float64))
        elif isinstance(values, np.ndarray) and values.dtype == np.int32:
            cells[column.name] = values
        else:
            cells[column.name] = coding.columns[column.name].code(values)
    n = len(predictions)
    outcomes, fixed, refused = outcome_codes(coding, predictions, scores)
    table = np.array([cells[c.name] for c in parameters.columns], np.int32).reshape(len(parameters.columns), n)
    return Cells(table, population_codes(coding, cells, n), outcomes, fixed, refused)


def input_counts(parameters: Parameters, keys: NDArray[np.int64], cells: Cells) -> Iterator[tuple[int, Sparse]]:
    """Yield, for each key (a pane and version), the inputs vector of its rows."""
    yield from split(keys, _input_parts(parameters, cells), layout_of(parameters).inputs.size)


def _input_parts(parameters: Parameters, cells: Cells) -> Iterator[Counted]:
    coding, space = coding_of(parameters), layout_of(parameters).inputs
    for i, column in enumerate(parameters.columns):
        yield space.by_name[f"column/{column.name}"].offset + cells.columns[i], 1
    for segment, groups in zip(((), *parameters.segments), coding.groups, strict=True):
        group = groups[cells.population] * coding.outcomes if segment else 0
        yield space.by_name[f"outcome/{segment_name(segment)}"].offset + group + cells.outcomes, 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions with a label, arrays (n,): location cell, fixed-point value, class index or fixed-point label,
    lag in panes, +1 or -1.
    """

    cells: NDArray[np.int64]
    values: NDArray[np.int64]
    labels: NDArray[np.int64]
    lags: NDArray[np.int64]
    signs: NDArray[np.int64]


def label_counts(parameters: Parameters, keys: NDArray[np.int64], rows: Labelled) -> Iterator[tuple[int, Sparse]]:
    """Yield, for each key (a pane and version), the change of its labels vector."""
    yield from split(keys, _label_parts(parameters, rows), layout_of(parameters).labels.size)


def _label_parts(parameters: Parameters, rows: Labelled) -> Iterator[Counted]:
    coding, space = coding_of(parameters), layout_of(parameters).labels
    population, outcomes = rows.cells // coding.outcomes, rows.cells % coding.outcomes
    counted = [(part, cell, amount * rows.signs) for part, cell, amount in _label_cells(parameters, rows, outcomes)]
    for segment, groups in zip(((), *parameters.segments), coding.groups, strict=True):
        name, group = segment_name(segment), groups[population]
        for part, cell, amount in counted:
            block = space.by_name[f"{part}/{name}"]
            yield block.offset + group * (block.size // block.shape[0]) + cell, amount
    delay = space.by_name["delay/"]
    yield delay.offset + np.clip(rows.lags, 0, delay.size - 1), rows.signs


_Block = tuple[str, "NDArray[np.int64]", "NDArray[np.int64]"]


def _label_cells(parameters: Parameters, rows: Labelled, outcomes: NDArray[np.int64]) -> Iterator[_Block]:
    """Yield (part, cell within a group, amount) for every count that one labelled prediction makes in a group."""
    one = np.ones(len(outcomes), np.int64)
    match parameters.task:
        case "binary_classification":
            yield "labels", outcomes * 2 + rows.labels, one
            yield "sums", rows.labels * 2, rows.values
            yield "sums", rows.labels * 2 + 1, fixed_square(rows.values)
        case "multiclass_classification":
            classes = len(parameters.classes) + 1
            predicted, score = outcomes // SCORE_CELLS, outcomes % SCORE_CELLS
            right = (predicted == rows.labels) & (rows.labels < classes - 1)
            yield "labels", predicted * classes + rows.labels, one
            yield "calibration", score * 2 + right, one
        case "regression":
            error = rows.values - rows.labels
            amounts = (one, error, np.abs(error), fixed_square(error), rows.labels, fixed_square(rows.labels))
            for i, amount in enumerate(amounts):
                yield "sums", np.full(len(one), i), amount


def regression_labels(parameters: Parameters, labels: Sequence[Any] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a regression's labels in fixed point, shape (n,)."""
    return fixed_point(np.asarray(labels, np.float64), parameters.unit)
