"""A pane: the counts of one span of event time, as two sparse vectors of integers over its layout's cells.

A commutative group: merging is addition, a correction is a negative count, and nothing depends on order, batching or partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np

from guardian.errors import InvalidStateError, OverflowRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

N = TypeVar("N", np.int64, np.float64)
SpaceName = Literal["inputs", "labels"]
SUM_MAX: Final = 1 << 62  # A cell beyond it is refused: the next addition could leave 64 bits.
DENSE_CELLS_MAX: Final = 1 << 22  # Vectors are added up written out, up to this many cells ...
DENSE_CELLS_EACH: Final = 256  # ... and this many for each row; beyond, sorting is faster than sweeping zeros.


@dataclass(frozen=True, slots=True)
class Sparse:
    """A vector of integers that is mostly zero.

    Attributes:
        cells: (k,) strictly increasing int64 cell numbers.
        counts: (k,) int64, none of them zero.
    """

    cells: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def zero(cls) -> Sparse:
        """Return the vector of zeros: the identity of `merge`."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def merge(self, other: Sparse) -> Sparse:
        """Return the sum. Raises OverflowRefusedError where a cell would leave 62 bits."""
        if not len(self.cells):
            return other
        at = np.searchsorted(self.cells, other.cells)
        if (self.cells.take(at, mode="clip") == other.cells).all():  # A pane that has seen traffic has nearly all its cells.
            counts = self.counts.copy()
            counts[at] += other.counts  # Both are below 62 bits.
            _refuse_overflow(counts[at].astype(np.float64))
            return _without_zeros(self.cells, counts)
        return collect(np.concatenate((self.cells, other.cells)), np.concatenate((self.counts, other.counts)))

    def dense(self, size: int) -> NDArray[np.int64]:
        """Return the vector written out, shape (size,)."""
        out = np.zeros(size, np.int64)
        out[self.cells] = self.counts
        return out

    def to_bytes(self) -> bytes:
        """Return the cells and counts as little-endian bytes that `from_bytes` reads."""
        return self.cells.astype("<u4").tobytes() + self.counts.astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, blob: bytes) -> Sparse:
        """Read `to_bytes` back. Raises InvalidStateError on bytes of no such vector."""
        n, rest = divmod(len(blob), 12)
        cells = np.frombuffer(blob, "<u4", n).astype(np.int64) if not rest else np.zeros(0, np.int64)
        if rest or (np.diff(cells) <= 0).any():
            raise InvalidStateError("stored pane is not a sparse vector", hint="restore the database from a backup")
        return cls(cells, np.frombuffer(blob, "<i8", n, 4 * n).astype(np.int64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sparse):
            return NotImplemented
        return np.array_equal(self.cells, other.cells) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # holds arrays


def collect(cells: NDArray[np.int64], amounts: NDArray[np.int64]) -> Sparse:
    """Return the vector that adds `amounts` at `cells` (any order, repeats allowed). Raises OverflowRefusedError."""
    order = np.argsort(cells, kind="stable")
    cells, amounts = cells[order], amounts[order]
    starts = np.flatnonzero(np.concatenate(([True], cells[1:] != cells[:-1]))) if len(cells) else np.zeros(0, np.int64)
    if not len(starts):
        return Sparse.zero()
    sums = np.add.reduceat(amounts, starts)
    _refuse_overflow(np.add.reduceat(amounts.astype(np.float64), starts))
    return _without_zeros(cells[starts], sums)


def _refuse_overflow(sums: NDArray[np.float64]) -> None:
    if len(sums) and np.abs(sums).max() >= SUM_MAX:
        raise OverflowRefusedError("a fixed-point sum would leave 62 bits", hint="declare a larger `unit` in the model file")


def _without_zeros(cells: NDArray[np.int64], counts: NDArray[np.int64]) -> Sparse:
    keep = counts != 0
    return Sparse(cells, counts) if keep.all() else Sparse(cells[keep], counts[keep])


Counted = tuple["NDArray[np.integer[Any]]", "NDArray[np.int64] | int"]
"""Where each of some rows counts, and how much (one number: the same for all)."""


def split(keys: NDArray[np.int64], parts: Iterable[Counted], size: int) -> Iterator[tuple[int, Sparse]]:
    """Yield, for every key, the vector of what its rows count. Raises OverflowRefusedError.

    Args:
        keys: (n,) the key of each row, any integer >= 0.
        parts: What rows count: each part has (n,) cells below `size`, and amounts.
        size: Number of cells.
    """
    if not len(keys):
        return
    names, places = (keys[:1], 0) if (keys == keys[0]).all() else np.unique(keys, return_inverse=True)
    first = places * size
    counted = [(first + cells, amounts) for cells, amounts in parts]
    if len(names) * size <= min(DENSE_CELLS_MAX, DENSE_CELLS_EACH * len(keys)):
        table = np.zeros(len(names) * size, np.int64)
        for cells, amounts in counted:
            np.add.at(table, cells, amounts)
        if sum(float(np.abs(amounts).max()) for _, amounts in counted) * len(keys) >= SUM_MAX:  # Else no sum can come so far.
            sums = np.zeros(len(table))
            for cells, amounts in counted:
                np.add.at(sums, cells, np.asarray(amounts, np.float64))
            _refuse_overflow(sums)
        for name, row in zip(names.tolist(), table.reshape(len(names), size), strict=True):
            found = np.flatnonzero(row)
            yield name, Sparse(found, row[found])
        return
    whole = collect(
        np.concatenate([cells for cells, _ in counted]), np.concatenate([np.broadcast_to(a, len(keys)) for _, a in counted])
    )
    bounds = np.searchsorted(whole.cells, np.arange(len(names) + 1) * size)
    for i, name in enumerate(names.tolist()):
        part = slice(bounds[i], bounds[i + 1])
        yield name, Sparse(whole.cells[part] - i * size, whole.counts[part])


def total(vectors: Sequence[Sparse], size: int, kind: type[N] = np.int64) -> NDArray[N]:  # type: ignore[assignment]  # mypy #3737
    """Return the dense sum of many vectors, shape (size,); as floats it cannot wrap."""
    out = np.zeros(size, kind)
    if vectors:
        cells = np.concatenate([v.cells for v in vectors])
        np.add.at(out, cells, np.concatenate([v.counts for v in vectors]))
    return out
