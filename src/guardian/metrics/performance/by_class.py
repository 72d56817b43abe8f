"""One metric for the positive class, for one class against the rest, or as the plain mean over the classes (macro)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from guardian.metrics.base import Measured, Measurement, Undefined, Why
from guardian.metrics.performance.cells import class_names, confusion
from guardian.metrics.performance.rates import mean_of
from guardian.units import round_significant

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Subject


@dataclass(frozen=True, slots=True)
class OneClass:
    """Labelled rows seen from one class: hits, false alarms, misses, and the rest."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True, slots=True)
class Macro:
    """The classes of a mean.

    Attributes:
        matrix: Rows by (predicted, true).
        found: What each class that counts measures, by its index.
        left_out: Names of the classes that have no truth, or no number of their own.
        names: Name of every class.
    """

    matrix: NDArray[np.int64]
    found: dict[int, Measured]
    left_out: list[str]
    names: tuple[str, ...]


def seen_from(matrix: NDArray[np.int64], i: int, *, known: bool = True) -> OneClass:
    """Return `matrix`, (predicted, true), as class `i` against the rest.

    A class that is not `known` is `(new)`: any class outside the reference. Predicted and true may then be two different ones,
    so it is never a hit.

    >>> import numpy as np
    >>> seen_from(np.array([[5, 2], [1, 9]]), 1)
    OneClass(tp=9, fp=1, fn=2, tn=5)
    """
    both, predicted, true = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
    tp = both if known else 0
    return OneClass(tp, predicted - both, true - tp, int(matrix.sum()) - predicted - true + both)


def plain_mean(macro: Macro) -> Measured:
    """Return the unweighted mean of the classes, taken as independent (rates of disjoint rows are)."""
    return mean_of(list(macro.found.values()), int(macro.matrix.sum()))


def measure_classes(
    live: Counts,
    subject: Subject,
    one: Callable[[OneClass], Measurement],
    macro: Callable[[Macro], Measured] = plain_mean,
) -> Measurement:
    """Measure by `one` for `subject.of_class` or a binary model's positive class, else the mean over classes by `macro`.

    Classes without truth, and those that `one` gives no number, stay out of the mean; `detail` names them in
    `left_out` and holds the others' values in `classes`. Undefined: no-labels; not-defined for a class that
    the model does not have; no-reference for a multiclass model without one.
    """
    if not live.parameters.classes:
        return Undefined(Why.NO_REFERENCE, live.labelled)
    matrix, names = confusion(live, subject), class_names(live.parameters)
    if not matrix.any():
        return Undefined(Why.NO_LABELS)
    if subject.of_class is not None:
        if subject.of_class not in names:
            return Undefined(Why.NOT_DEFINED, int(matrix.sum()))
        i = names.index(subject.of_class)
        return one(seen_from(matrix, i, known=i < len(live.parameters.classes)))
    if live.parameters.task == "binary_classification":
        return one(seen_from(matrix, live.parameters.positive))
    return _mean(matrix, names, one, macro)


def _mean(
    matrix: NDArray[np.int64],
    names: tuple[str, ...],
    one: Callable[[OneClass], Measurement],
    macro: Callable[[Macro], Measured],
) -> Measurement:
    new = len(names) - 1
    measured = {i: one(seen_from(matrix, i, known=i < new)) for i in range(len(names)) if matrix[:, i].any()}
    found = {i: m for i, m in measured.items() if isinstance(m, Measured)}
    left_out = [name for i, name in enumerate(names) if i not in found]
    if not found:
        return Undefined(Why.NOT_DEFINED, int(matrix.sum()), {"left_out": left_out})
    values = {names[i]: round_significant(m.value) for i, m in found.items()}
    mean = macro(Macro(matrix, found, left_out, names))
    return replace(mean, detail={"classes": values, "left_out": left_out})
