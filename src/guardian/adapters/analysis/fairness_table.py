"""The table by group that is kept with a firing fairness alert: fairlearn's MetricFrame over contingency counts as weights.

Takes: cells of one segment. Gives: a JSON table. It takes tens of milliseconds, so it is no part of judging; fairlearn,
scikit-learn and pandas are imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from guardian.metrics.fairness.groups import group_names
from guardian.units import round_significant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from guardian.catalog.parameters import Parameters

    Column = Mapping[str, float]


def group_table(
    parameters: Parameters, segment: str, labels_cells: NDArray[np.int64], outcome_cells: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return one row a group that has predictions, in the order of the layout.

    Args:
        parameters: What the cells mean; classification only.
        segment: The segment's columns joined by a comma.
        labels_cells: The window's part `labels/<segment>`.
        outcome_cells: The window's part `outcome/<segment>`.

    A row holds `group`, `n`, `selection_rate`, and of its labelled rows `labelled`, `positives`, `negatives`, `accuracy`,
    `true_positive_rate`, `false_positive_rate`. A rate is None where its denominator is empty; those of one positive class are
    None for multiclass models.
    """
    names = group_names(parameters, segment)
    binary = parameters.task == "binary_classification"
    matrix = labels_cells.sum(axis=2) if binary else labels_cells
    predicted = outcome_cells.sum(axis=2)
    positives = matrix[:, :, parameters.positive].sum(axis=1) if binary else np.zeros(len(names), np.int64)
    labelled = matrix.sum(axis=(1, 2))
    rates = _label_rates(parameters, names, matrix)
    rates["selection_rate"] = _selection_rate(parameters, names, predicted) if binary else {}
    empty = {
        "true_positive_rate": positives == 0,
        "false_positive_rate": labelled - positives == 0,
    }
    rows = []
    for i, name in enumerate(names):
        if not (n := int(predicted[i].sum())):
            continue
        known = {"positives": int(positives[i]), "negatives": int(labelled[i] - positives[i])} if binary else {}
        row: dict[str, Any] = {"group": name, "n": n, "labelled": int(labelled[i]), **known}
        for what, column in rates.items():
            absent = name not in column or (what in empty and bool(empty[what][i]))
            row[what] = None if absent else round_significant(float(column[name]))
        rows.append(row)
    return rows


def _label_rates(parameters: Parameters, names: tuple[str, ...], matrix: NDArray[np.int64]) -> dict[str, Column]:
    from fairlearn.metrics import false_positive_rate, true_positive_rate
    from sklearn.metrics import accuracy_score

    group, said, true = np.nonzero(matrix)
    weights = matrix[group, said, true]
    if parameters.task == "binary_classification":
        said, true = said == parameters.positive, true == parameters.positive
        metrics = {
            "accuracy": accuracy_score,
            "true_positive_rate": true_positive_rate,
            "false_positive_rate": false_positive_rate,
        }
    else:
        # A prediction outside the reference's classes is never right: it gets a code that no truth has.
        said, metrics = np.where(said == len(parameters.classes), -1, said), {"accuracy": accuracy_score}
    people = [names[i] for i in group.tolist()]
    columns: dict[str, Column] = {what: {} for what in ("accuracy", "true_positive_rate", "false_positive_rate")}
    return columns | _by_group(metrics, (true.astype(int), said.astype(int)), people, weights)


def _selection_rate(parameters: Parameters, names: tuple[str, ...], predicted: NDArray[np.int64]) -> Column:
    from fairlearn.metrics import selection_rate

    group, said = np.nonzero(predicted)
    chosen = (said == parameters.positive).astype(int)
    people = [names[i] for i in group.tolist()]
    found = _by_group({"selection_rate": selection_rate}, (chosen, chosen), people, predicted[group, said])
    return found.get("selection_rate", {})


def _by_group(
    metrics: Mapping[str, Callable[..., float]],
    outcome: tuple[NDArray[np.int64], NDArray[np.int64]],
    people: list[str],
    weights: NDArray[np.int64],
) -> dict[str, Column]:
    """Return each metric by group name, over cells that weigh as many rows as they hold; `outcome` is (true, predicted)."""
    from fairlearn.metrics import MetricFrame

    if not len(weights):
        return {}
    frame = MetricFrame(
        metrics=dict(metrics),
        y_true=outcome[0],
        y_pred=outcome[1],
        sensitive_features=people,
        sample_params={what: {"sample_weight": weights} for what in metrics},
    )
    return {what: frame.by_group[what].to_dict() for what in metrics}
