"""Hits and rows of every group of a segment, in one rate's own denominator, and which groups are too small to judge.

Takes: counts. Gives: Groups, or why there are too few. Never: compares groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from guardian.catalog.parameters import MISSING, NEW
from guardian.metrics.base import Undefined, Why
from guardian.units import round_significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from guardian.catalog.parameters import Parameters
    from guardian.metrics.base import Counts, Options, Subject

Rate = Literal["selection", "true_positive", "false_positive", "accuracy"]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that are judged, at least two.

    Attributes:
        names: Cell names joined by a comma, in the order of the layout.
        hits: (G,) rows that the rate counts.
        rows: (G,) rows of its denominator, each at least the group size.
        too_small: Rows of the groups left out; those that no one could be in by the reference are not named
        when empty.
    """

    names: tuple[str, ...]
    hits: NDArray[np.int64]
    rows: NDArray[np.int64]
    too_small: dict[str, int]

    @property
    def n(self) -> int:
        """Rows in the groups judged."""
        return int(self.rows.sum())

    def detail(self, between: tuple[int, int]) -> dict[str, Any]:
        """Return what a measurement says of its groups; `between` are the places of the lowest and the highest."""
        shares = (self.hits / self.rows).tolist()
        groups = {
            name: {"n": rows, "rate": round_significant(share)}
            for name, rows, share in zip(self.names, self.rows.tolist(), shares, strict=True)
        }
        low, high = between
        return {
            "groups": groups,
            "between": [self.names[low], self.names[high]],
            "too_small": self.too_small,
        }


def groups_of(live: Counts, subject: Subject, options: Options, rate: Rate) -> Groups | Undefined:
    """Return the groups of the segment `subject.by` that have `options.group_size` rows in the denominator of `rate`.

    Undefined: no-data or no-labels where the denominator is empty in all groups; groups-too-small where fewer
    than two are left, with `too_small` and the rows of the one that is left in `groups` in its detail; no-reference where
    no group, or no class, has a name, because only a reference gives them: everyone would be `(new)`.
    """
    segment = subject.by or ""
    if _nobody_is_known(live.parameters, segment):
        return Undefined(Why.NO_REFERENCE, live.predictions if rate == "selection" else live.labelled)
    hits, rows = counts_of(live, segment, rate)
    names = group_names(live.parameters, segment)
    total = int(rows.sum())
    if not total:
        return Undefined(_why_empty(live, rate))
    big = rows >= max(options.group_size, 1)
    too_small = {
        name: count
        for name, count, judged in zip(names, rows.tolist(), big.tolist(), strict=True)
        if not judged and (count or not _unforeseen(name))
    }
    kept = tuple(name for name, judged in zip(names, big.tolist(), strict=True) if judged)
    if len(kept) < 2:
        left = {name: {"n": int(rows[names.index(name)])} for name in kept}
        return Undefined(Why.GROUPS_TOO_SMALL, total, {"groups": left, "too_small": too_small})
    return Groups(kept, hits[big], rows[big], too_small)


def counts_of(live: Counts, segment: str, rate: Rate) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (hits, rows) of every group of the segment, shape (groups) each."""
    parameters = live.parameters
    if rate == "selection":
        predicted = live.part(f"outcome/{segment}").sum(axis=2)
        return predicted[:, parameters.positive], predicted.sum(axis=1)
    matrix = live.part(f"labels/{segment}")
    if parameters.task == "binary_classification":
        matrix = matrix.sum(axis=2)
    if rate == "accuracy":
        right = matrix.diagonal(axis1=1, axis2=2)[:, : len(parameters.classes)]  # Outside the reference never is.
        return right.sum(axis=1), matrix.sum(axis=(1, 2))
    true = parameters.positive if rate == "true_positive" else 1 - parameters.positive
    return matrix[:, parameters.positive, true], matrix[:, :, true].sum(axis=1)


@lru_cache(maxsize=256)  # Parameters and segments in use; a name is built once, not once a window.
def group_names(parameters: Parameters, segment: str) -> tuple[str, ...]:
    """Return the name of every group: its cells' names joined by a comma, in the order of the layout.

    >>> from guardian.catalog.parameters import CategoricalColumn, Parameters
    >>> sex = CategoricalColumn("sex", ("f", "m"))
    >>> group_names(Parameters("binary_classification", (sex,), ("0", "1"), 1, None, (("sex",),), 1), "sex")
    ('f', 'm', '(new)', '(missing)')
    """
    columns = parameters.population(tuple(segment.split(",")) if segment else ())
    return tuple(",".join(cells) for cells in product(*(column.names for column in columns)))


def _nobody_is_known(parameters: Parameters, segment: str) -> bool:
    columns = parameters.population(tuple(segment.split(",")) if segment else ())
    return not parameters.classes or not any(column.keys for column in columns)


def _unforeseen(name: str) -> bool:
    return NEW in name.split(",") or MISSING in name.split(",")


def _why_empty(live: Counts, rate: Rate) -> Why:
    if rate == "selection":
        return Why.NO_DATA
    return Why.ONE_CLASS if live.labelled else Why.NO_LABELS
