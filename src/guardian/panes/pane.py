"""A pane: the counts of one span of event time, as two sparse vectors of integers over its layout's cells.

A commutative group: merging is addition, a correction is a negative count, and nothing depends on order, batching or partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from guardian.errors import InvalidStateError, OverflowRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SpaceName = Literal["inputs", "labels"]
SUM_MAX: Final = 1 << 62  # A cell beyond it is refused: the next addition could leave 64 bits.


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
    if np.abs(np.add.reduceat(amounts.astype(np.float64), starts)).max() >= SUM_MAX:
        raise OverflowRefusedError("a fixed-point sum would leave 62 bits", hint="declare a larger `unit` in the model file")
    keep = sums != 0
    return Sparse(cells[starts][keep], sums[keep])


def split(
    keys: NDArray[np.int64], cells: NDArray[np.int64], amounts: NDArray[np.int64], size: int
) -> Iterator[tuple[int, Sparse]]:
    """Yield, for every key, the vector of its amounts. `size` is the number of cells; keys are any integers >= 0."""
    if not len(keys):
        return
    names, dense = np.unique(keys, return_inverse=True)
    if len(names) * size <= 4 * len(keys) and (amounts == 1).all():
        table = np.bincount(dense * size + cells, minlength=len(names) * size).reshape(len(names), size)
        for name, row in zip(names.tolist(), table, strict=True):
            found = np.flatnonzero(row)
            yield name, Sparse(found, row[found])
        return
    whole = collect(dense * size + cells, amounts)
    bounds = np.searchsorted(whole.cells, np.arange(len(names) + 1) * size)
    for i, name in enumerate(names.tolist()):
        part = slice(bounds[i], bounds[i + 1])
        yield name, Sparse(whole.cells[part] - i * size, whole.counts[part])


def total(vectors: Sequence[Sparse], size: int) -> NDArray[np.int64]:
    """Return the dense sum of many vectors, shape (size,)."""
    out = np.zeros(size, np.int64)
    if vectors:
        cells = np.concatenate([v.cells for v in vectors])
        np.add.at(out, cells, np.concatenate([v.counts for v in vectors]))
    return out
