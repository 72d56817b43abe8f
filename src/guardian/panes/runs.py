"""Sorted, immutable runs of the join ledger: columns of one map, kept like a log-structured tree.

A run holds ids in ascending order and the columns beside them. A newer run beats an older one. Runs are merged so that there are
O(log n) unsealed ones, and none above a cap is ever rewritten.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

RUN_ROWS_MAX: Final = 1 << 20  # Beyond it a run is sealed: a merge never rewrites more than this.
RUN_ROWS_MAX_LARGE: Final = 1 << 22  # The same for a ledger above LARGE rows, so that the number of runs stays small.
LARGE: Final = 10_000_000
FAN: Final = 4  # A run is merged when it is at most 1/(FAN - 1) of all younger rows together.

_HEAD: Final = struct.Struct("<4sIQqq")
_MAGIC: Final = b"GRN1"


@dataclass(frozen=True, slots=True)
class Run:
    """One immutable run.

    Attributes:
        number: Names it in the store; unique in its ledger.
        ids: (n,) uint64, strictly ascending.
        columns: (n,) int64 each, in the order of its map.
        panes: (n,) is derived from the first column by the ledger; only its extent is kept here.
        low: Least pane of its rows.
        high: Greatest pane of its rows.
    """

    number: int
    ids: NDArray[np.uint64]
    columns: tuple[NDArray[np.int64], ...]
    low: int
    high: int

    def __len__(self) -> int:
        return len(self.ids)

    def to_bytes(self) -> bytes:
        """Return bytes that `from_bytes` reads."""
        head = _HEAD.pack(_MAGIC, len(self.columns), len(self.ids), self.low, self.high)
        return b"".join((head, self.ids.tobytes(), *(column.tobytes() for column in self.columns)))

    @classmethod
    def from_bytes(cls, number: int, blob: bytes) -> Run:
        """Read `to_bytes` back. Raises InvalidStateError on anything else."""
        magic, width, rows, low, high = _HEAD.unpack_from(blob) if len(blob) >= _HEAD.size else (b"", 0, 0, 0, 0)
        if magic != _MAGIC or len(blob) != _HEAD.size + 8 * rows * (width + 1):
            raise InvalidStateError("stored ledger run is damaged", hint="restore the database from a backup")
        ids = np.frombuffer(blob, np.uint64, rows, _HEAD.size)
        columns = tuple(np.frombuffer(blob, np.int64, rows, _HEAD.size + 8 * rows * (i + 1)) for i in range(width))
        return cls(number, ids, columns, low, high)


def ordered(ids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the order that sorts ids, equal ones as they come."""
    order = np.argsort(ids)  # A third of a stable sort's time, and as good where no id comes twice.
    found = ids[order]
    return np.argsort(ids, kind="stable") if (found[1:] == found[:-1]).any() else order


def distinct(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return ids ascending, each once; np.unique hashes them, which takes ten times as long as sorting."""
    ids = np.sort(ids)
    return ids[np.append(True, ids[1:] != ids[:-1])] if len(ids) else ids


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of sorted ids found: `hit` (n,), and the columns, zero where nothing was found."""

    hit: NDArray[np.bool_]
    columns: tuple[NDArray[np.int64], ...]


def find(runs: Iterable[Run], ids: NDArray[np.uint64], *, low: int, high: int, width: int) -> Found:
    """Search ascending `ids` in runs (oldest first) that reach into panes [low, high]; the newest run's row wins."""
    hit = np.zeros(len(ids), np.bool_)
    columns = tuple(np.zeros(len(ids), np.int64) for _ in range(width))
    left = np.arange(len(ids))
    for run in reversed(tuple(runs)):
        if run.high < low or run.low > high or not len(left):
            continue
        want = ids if len(left) == len(ids) else ids[left]
        at = run.ids.searchsorted(want)
        got = run.ids.take(at, mode="clip") == want
        if got.any():
            where, there = left[got], at[got]
            hit[where] = True
            for column, stored in zip(columns, run.columns, strict=True):
                column[where] = stored[there]
            left = left[~got]
    return Found(hit, columns)


def add(runs: tuple[Run, ...], new: Run, *, oldest: int, panes_of: PanesOf, next_number: int) -> tuple[Run, ...]:
    """Return `runs` and `new` (oldest first): expired runs dropped whole, the longest worthwhile young tail merged.

    Args:
        runs: The map's runs.
        new: The youngest run.
        oldest: Rows of older panes are forgotten.
        panes_of: The panes of a map's rows, from its columns.
        next_number: The number of a merged run.
    """
    kept = [run for run in runs if run.high >= oldest] + [new]
    cap = RUN_ROWS_MAX if sum(map(len, kept)) <= LARGE else RUN_ROWS_MAX_LARGE
    tail, young = 1, len(new)
    for k in range(2, len(kept) + 1):
        size = len(kept[-k])
        if young + size > cap:
            break
        if size * (FAN - 1) <= young:
            tail = k
        young += size
    if tail > 1:
        merged = _merge(kept[-tail:], oldest, panes_of, next_number)
        kept[-tail:] = [merged] if merged is not None else []
    return tuple(kept)


class PanesOf:
    """How a map tells the pane of its rows: the high bits of a location, or a time divided by the pane."""

    def __init__(self, *, shift: int = 0, pane_ms: int = 0) -> None:
        self._shift = shift
        self._pane_ms = pane_ms

    def __call__(self, first: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pane ordinals of rows by their first column."""
        return first >> self._shift if self._shift else first // self._pane_ms


def _merge(runs: list[Run], oldest: int, panes_of: PanesOf, number: int) -> Run | None:
    """Return one run of many, oldest first: of equal ids the newest row stays, forgotten rows go."""
    ids = np.concatenate([run.ids for run in runs])
    order = np.argsort(ids, kind="stable")  # The pieces are sorted, so this is a merge.
    ids = ids[order]
    columns = [np.concatenate(c)[order] for c in zip(*(run.columns for run in runs), strict=True)]
    panes = panes_of(columns[0])
    keep = np.append(ids[1:] != ids[:-1], True) & (panes >= oldest)
    if not keep.any():
        return None
    panes = panes[keep]
    return Run(number, ids[keep], tuple(c[keep] for c in columns), int(panes.min()), int(panes.max()))
