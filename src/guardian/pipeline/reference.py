"""A reference from a table: the parameters that live events are counted by, and the table counted by them.

Takes a model file and whole columns. Gives an immutable, content-addressed Reference: the same table gives the same digest. Rows
without a label count as predictions only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from guardian.catalog.layout import layout_of
from guardian.catalog.parameters import QUANTILE_BINS, CategoricalColumn, Column, NumericColumn, Parameters, canonical_key
from guardian.errors import GuardianError
from guardian.panes.coding import NO_CLASS, VALUE_UNITS_MAX, class_hashes, class_indexes, coding_of
from guardian.panes.counting import Labelled, code_rows, input_counts, label_counts, regression_labels
from guardian.panes.pane import Sparse
from guardian.panes.windows import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from guardian.catalog.model_file import ModelFile

CATEGORIES_MAX: Final = 1_000  # Of one column; the rarer ones are counted as (new), live as in the reference.
CLASSES_MAX: Final = 100


class BadReferenceError(GuardianError):
    """A reference table does not fit the model file. Exit code 1."""

    code = "reference.bad-table"
    exit_code = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Whole columns of a reference table, each of the same length; None or NaN is missing.

    Attributes:
        columns: Raw values by column of the model file.
        predictions: What the model said.
        scores: Scores, or None where the model gives none.
        labels: The truth, or None where the table has none.
    """

    columns: Mapping[str, Sequence[Any] | NDArray[Any]]
    predictions: Sequence[Any] | NDArray[Any]
    scores: Sequence[Any] | NDArray[Any] | None
    labels: Sequence[Any] | NDArray[Any] | None


def build(model: ModelFile, table: Table) -> Reference:
    """Fold a table into a reference. Raises BadReferenceError where it does not fit the model file."""
    predictions, labels = _values(table.predictions), None if table.labels is None else _values(table.labels)
    if not predictions:
        raise BadReferenceError("the reference table has no rows", hint="give a table of predictions")
    if any(p is None for p in predictions):
        raise BadReferenceError("the prediction column has missing values", hint="leave out rows without a prediction")
    parameters = _parameters(model, table, predictions, labels or [])
    try:
        coding_of(parameters)
    except ValueError as error:
        raise BadReferenceError(str(error), hint="take segments out of the model file") from error
    scores = np.full(len(predictions), np.nan) if table.scores is None else np.asarray(table.scores, np.float64)
    if ((scores < 0) | (scores > 1)).any():
        raise BadReferenceError("the score column has values outside [0, 1]", hint="give probabilities")
    columns = {c.name: _column_values(c, table.columns[c.name]) for c in parameters.columns}
    cells = code_rows(parameters, columns, predictions, scores)
    if cells.refused.any():
        raise BadReferenceError("the prediction column has values out of range", hint="declare a larger unit in the model file")
    whole = dict(input_counts(parameters, np.zeros(len(predictions), np.int64), cells))
    inputs = whole.get(0, Sparse.zero())
    counted = _count_labels(parameters, cells.location_cells(parameters), cells.values, labels) if labels else Sparse.zero()
    return Reference(parameters, inputs, counted)


def _parameters(model: ModelFile, table: Table, predictions: list[Any], labels: list[Any]) -> Parameters:
    spec = model.spec
    columns: list[Column] = []
    for name in spec.column_names:
        numeric = name in spec.features and spec.features[name].type == "numeric"
        columns.append(numeric_column(name, table.columns[name]) if numeric else categorical_column(name, table.columns[name]))
    classes: tuple[str, ...] = ()
    if spec.task != "regression":
        classes = tuple(sorted({canonical_key(v) for v in (*set(predictions), *set(labels)) if v is not None}))
        _check_classes(model, classes)
    return Parameters(
        task=spec.task,
        columns=tuple(columns),
        classes=classes,
        positive=classes.index(canonical_key(spec.positive_label)) if spec.positive_label is not None else -1,
        prediction=numeric_column("prediction", predictions) if spec.task == "regression" else None,
        segments=spec.segments,
        horizon_panes=spec.horizon_panes,
        unit=spec.unit,
    )


def _check_classes(model: ModelFile, classes: tuple[str, ...]) -> None:
    if len(classes) > CLASSES_MAX:
        raise BadReferenceError(f"{len(classes)} classes, more than {CLASSES_MAX}", hint="is the model a regression?")
    positive = model.spec.positive_label
    if positive is not None and (len(classes) != 2 or canonical_key(positive) not in classes):
        raise BadReferenceError(
            f"predictions and labels hold the classes {', '.join(classes[:10])}, not two with {positive!r} among them",
            hint="mend positive_label or the columns of the reference",
        )


def numeric_column(name: str, raw: Sequence[Any] | NDArray[Any]) -> NumericColumn:
    """Return a numeric column's bins: reference quantiles by the inverted distribution function, each edge once."""
    try:
        values = np.asarray([np.nan if v is None else v for v in raw] if not isinstance(raw, np.ndarray) else raw, np.float64)
    except (TypeError, ValueError) as error:
        raise BadReferenceError(f"column {name} is not numeric", hint="declare it categorical in the model file") from error
    values = values[~np.isnan(values)]
    if not len(values) or not np.isfinite(values).all():
        raise BadReferenceError(f"column {name} has no finite values, or infinite ones", hint="mend the reference table")
    shares = np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    return NumericColumn(name, tuple(edges[edges > values.min()].tolist()), float(values.min()), float(values.max()))


def categorical_column(name: str, raw: Sequence[Any] | NDArray[Any]) -> CategoricalColumn:
    """Return a categorical column's closed set: its keys, or the CATEGORIES_MAX most frequent of them (ties by key)."""
    counts = Counter({canonical_key(v): n for v, n in Counter(_typed(_values(raw))).items() if v is not None} | {})
    if len(counts) > CATEGORIES_MAX:
        kept = sorted(counts, key=lambda key: (-counts[key], key))[:CATEGORIES_MAX]
        return CategoricalColumn(name, tuple(sorted(kept)))
    return CategoricalColumn(name, tuple(sorted(counts)))


def _typed(values: list[Any]) -> list[Any]:
    # True == 1 in Python, but a boolean is a category of its own.
    return [canonical_key(v) if isinstance(v, bool) else v for v in values]


def _values(raw: Sequence[Any] | NDArray[Any]) -> list[Any]:
    values = raw.tolist() if isinstance(raw, np.ndarray) else list(raw)
    return [None if isinstance(v, float) and v != v else v for v in values]


def _column_values(column: Column, raw: Sequence[Any] | NDArray[Any]) -> Any:
    if isinstance(column, NumericColumn):
        return np.asarray([np.nan if v is None else v for v in _values(raw)], np.float64)
    return _values(raw)


def _count_labels(parameters: Parameters, cells: NDArray[np.int64], values: NDArray[np.int64], labels: list[Any]) -> Sparse:
    known = np.fromiter((label is not None for label in labels), np.bool_, len(labels))
    given = [label for label in labels if label is not None]
    if not given:
        return Sparse.zero()
    if parameters.task == "regression":
        if np.abs(np.asarray(given, np.float64)).max() > VALUE_UNITS_MAX * parameters.unit:
            raise BadReferenceError("the label column has values out of range", hint="declare a larger unit in the model file")
        coded = regression_labels(parameters, given)
    else:
        coded = class_indexes(parameters, class_hashes(given))
        if (coded == NO_CLASS).any():
            raise BadReferenceError("the label column holds something that is no class", hint="mend the reference table")
    nothing = np.zeros(len(given), np.int64)
    rows = Labelled(cells[known], values[known], coded, nothing, nothing + 1)
    counted = dict(label_counts(parameters, nothing, rows)).get(0, Sparse.zero())
    delay = layout_of(parameters).labels.by_name["delay/"]
    # A table's rows have no delay; the part's total says how many rows are labelled, and no baseline is read of it.
    assert counted.cells[-1] == delay.offset  # noqa: S101 - the delay part is the last one, its first cell is lag 0
    return counted
