"""Cells for judging: how one column or output of a window, and of its reference, is compared.

Panes store fine cells; judging needs few and full ones, or intervals fail (cells of 0.2 % of the reference
let a 95 % interval cover 0.76 at 50 rows). So, by the reference alone:

1. Ordered cells (20 bins of a number, 100 of a score) are walked from below, and a cell closes when its
   cumulated share of the reference reaches the next tenth. Below and above range belong to the end cells.
2. Cells are merged until each holds 1 % of the reference: ordered ones into the smaller neighbour, categories
   the rarest two first; new categories are one more category that the reference never had. Two cells always
   remain.

A prediction is a category for classifiers, and a number for regression. Missing values are in no cell; they
have a metric of their own. Where a column has a single bin (a constant), or the walk would leave one cell,
step 1 gives way: one bin is compared with what lies out of range, several are only merged. Otherwise such a
column could not drift at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.catalog.parameters import SCORE_BINS, CategoricalColumn, NumericColumn
from guardian.metrics.base import Undefined, Why
from guardian.units import round_significant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.metrics.base import Counts, Subject

JUDGING_CELLS: Final = 10
LEAST_SHARE: Final = 0.01  # Of the reference, in every cell.
LEAST_EXPECTED: Final = 5  # Live rows that every cell must expect before a comparison may call drift absent.
PSEUDO_COUNT: Final = 0.5  # Rows added to each cell, so that an empty one has a logarithm.
GROUPINGS_KEPT: Final = 8192  # References times columns in use; an older one is found anew.

SCORE: Final = NumericColumn("score", tuple(i / SCORE_BINS for i in range(1, SCORE_BINS)), 0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """One column or output as panes hold it.

    Attributes:
        column: What its cells mean; a classifier's prediction is the categorical column of its classes.
        inside: Rows in the bins or the known categories.
        strays: Numbers: below and above range. Categories: new. Empty where a value cannot stray.
        missing: Rows without a value.
    """

    column: NumericColumn | CategoricalColumn
    inside: NDArray[np.int64]
    strays: NDArray[np.int64]
    missing: int

    @property
    def ordered(self) -> bool:
        """Whether its cells have an order."""
        return isinstance(self.column, NumericColumn)

    @property
    def n(self) -> int:
        """Rows with a value."""
        return int(self.inside.sum() + self.strays.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """The judging cells of one column, and the reference in them.

    Attributes:
        to: Judging cell of each stored cell: the inside ones, then the strays.
        counts: Reference rows of each judging cell, float64.
        n: Reference rows.
        shares: Smoothed reference shares.
        least: Share of the reference (not smoothed) in its smallest cell.
    """

    to: NDArray[np.intp]
    counts: NDArray[np.float64]
    n: int
    shares: NDArray[np.float64]
    least: float


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One column of a window beside its reference's.

    Attributes:
        live: The window's cells as stored.
        reference: The reference's cells as stored.
        grouping: The judging cells.
        n: Live rows with a value; at least 1, as grouping.n is.
    """

    live: Stored
    reference: Stored
    grouping: Grouping
    n: int

    @property
    def size(self) -> int:
        """Number of judging cells."""
        return len(self.grouping.counts)

    @property
    def fit(self) -> bool:
        """Whether every judging cell expects enough live rows."""
        return self.n * self.grouping.least >= LEAST_EXPECTED

    def counts(self) -> NDArray[np.float64]:
        """Return the live rows of each judging cell."""
        cells = np.concatenate((self.live.inside, self.live.strays))
        return np.bincount(self.grouping.to, weights=cells, minlength=self.size).astype(np.float64, copy=False)

    def stray_shares(self) -> dict[str, float]:
        """Return the live shares of what the reference never had, by name, for `detail`."""
        names = ("below", "above") if self.live.ordered else ("new",)
        pairs = zip(names, self.live.strays.tolist(), strict=False)  # Outputs may have no strays.
        return {name: round_significant(count / self.n) for name, count in pairs}


def stored(counts: Counts, subject: Subject) -> Stored | Undefined:
    """Return the cells of the subject's column or output; Undefined where the model has no such output.

    Raises KeyError for a column that is not counted.
    """
    parameters = counts.parameters
    if subject.column is not None:
        column = parameters.column(subject.column)
        return _split(column, counts.part(f"column/{subject.column}"))
    if subject.output not in {"prediction", "score"}:
        return Undefined(Why.NOT_DEFINED)
    outcome = counts.part("outcome/")
    if parameters.prediction is not None:
        return Undefined(Why.NOT_DEFINED) if subject.output == "score" else _split(parameters.prediction, outcome[0])
    if subject.output == "score":
        scores = outcome.sum(axis=(0, 1))
        return Stored(SCORE, scores[:SCORE_BINS], scores[:0], int(scores[SCORE_BINS]))
    classes = outcome.sum(axis=(0, 2))
    known = len(parameters.classes)
    return Stored(CategoricalColumn("prediction", parameters.classes), classes[:known], classes[known:], 0)


def smoothed(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each cell, all positive: each cell first receives PSEUDO_COUNT rows."""
    padded = counts + PSEUDO_COUNT
    shares: NDArray[np.float64] = padded / padded.sum()
    return shares


def _split(column: NumericColumn | CategoricalColumn, cells: NDArray[np.int64]) -> Stored:
    inside = column.bins if isinstance(column, NumericColumn) else len(column.keys)
    return Stored(column, cells[:inside], cells[inside:-1], int(cells[-1]))


def pair(live: Counts, reference: Counts | None, subject: Subject) -> Pair | Undefined:
    """Return the subject's window beside its reference, or why they cannot be compared."""
    if reference is None:
        return Undefined(Why.NO_REFERENCE)
    ours, theirs = stored(live, subject), stored(reference, subject)
    if isinstance(ours, Undefined):
        return ours
    if isinstance(theirs, Undefined) or ours.column != theirs.column:
        return Undefined(Why.PARAMETERS_CHANGED)
    n, of_score = ours.n, subject.output == "score"
    if theirs.n == 0:
        return Undefined(Why.NO_SCORE if of_score else Why.NO_REFERENCE, n)
    if n == 0:
        return Undefined(Why.NO_SCORE if of_score and ours.missing else Why.NO_DATA)
    grouping = _grouping(theirs.ordered, len(theirs.inside), np.concatenate((theirs.inside, theirs.strays)).tobytes())
    return Pair(ours, theirs, grouping, n)


@lru_cache(maxsize=GROUPINGS_KEPT)
def _grouping(ordered: bool, inside: int, cells: bytes) -> Grouping:
    """Return the judging cells; keyed by the reference's counts, on which alone they depend."""
    reference = np.frombuffer(cells, np.int64)
    to = _ordered_cells(reference, inside) if ordered else _merged(reference, np.arange(len(reference)), ordered=False)
    counts = np.bincount(to, weights=reference).astype(np.float64, copy=False)
    n = int(reference.sum())
    return Grouping(to, counts, n, smoothed(counts), float(counts.min() / n))


def _ordered_cells(reference: NDArray[np.int64], inside: int) -> NDArray[np.intp]:
    strays = len(reference) - inside
    if inside == 1:
        return np.array([0] + [1] * strays)
    bins = reference[:inside].copy()
    if strays:
        bins[0] += reference[inside]
        bins[-1] += reference[inside + 1]
    walked = _walked(bins)
    to = _merged(bins, walked if walked[-1] > 0 else np.arange(inside), ordered=True)
    return np.concatenate((to, to[[0, -1]])) if strays else to


def _walked(bins: NDArray[np.int64]) -> NDArray[np.intp]:
    """Close a cell when the cumulated reference share reaches the next tenth; return each bin's cell."""
    total, cell, seen, to = int(bins.sum()), 0, 0, []
    for count in bins.tolist():
        to.append(cell)
        seen += count
        # Whole numbers: no rounding closes a cell a bin late.
        cell = max(cell, min(JUDGING_CELLS - 1, seen * JUDGING_CELLS // total))
    return np.unique(to, return_inverse=True)[1]


def _merged(reference: NDArray[np.int64], to: NDArray[np.intp], *, ordered: bool) -> NDArray[np.intp]:
    """Merge until each cell holds LEAST_SHARE of the reference or two are left; return each bin's cell."""
    counts = [int(count) for count in np.bincount(to, weights=reference)]
    members = [np.flatnonzero(to == cell) for cell in range(len(counts))]
    total = sum(counts)
    while len(counts) > 2 and min(counts) < LEAST_SHARE * total:
        into, gone = _neighbours(counts) if ordered else _rarest(counts)
        counts[into] += counts.pop(gone)
        members[into] = np.concatenate((members[into], members.pop(gone)))
    out = np.empty(len(to), np.intp)
    for cell, mine in enumerate(members):
        out[mine] = cell
    return out


def _neighbours(counts: list[int]) -> tuple[int, int]:
    """Return the rarest cell and its smaller neighbour, the lower place first."""
    i, last = counts.index(min(counts)), len(counts) - 1
    down = i == last or (i > 0 and counts[i - 1] <= counts[i + 1])
    return (i - 1, i) if down else (i, i + 1)


def _rarest(counts: list[int]) -> tuple[int, int]:
    """Return the two rarest cells, the lower place first; of equals the first ones."""
    first, second = sorted(range(len(counts)), key=counts.__getitem__)[:2]
    return min(first, second), max(first, second)
