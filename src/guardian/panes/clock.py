"""A model's clock, and the instants at which anything depends on it.

Every instant lies a fixed span after a pane boundary: the boundary itself (label coverage is looked at, files take effect),
`lateness` after it (a window is judged), `lateness + horizon` (its final revision; the ledger rows go), and `remember` more
(the ids are forgotten). Between two instants nothing that is counted or judged depends on the clock: events are cut there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from guardian.panes.rows import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from guardian.catalog.model_file import ModelSpec


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of one model, milliseconds."""

    pane_ms: int
    lateness_ms: int
    horizon_ms: int
    remember_ms: int

    @classmethod
    def of(cls, spec: ModelSpec) -> Spans:
        """Return the spans that a model file declares."""
        return cls(spec.pane, spec.allowed_lateness, spec.horizon_ms, spec.remember_ms)

    @property
    def after_boundary(self) -> tuple[int, ...]:
        """How long after a pane boundary each kind of instant lies."""
        gone = self.lateness_ms + self.horizon_ms
        return tuple(sorted({0, self.lateness_ms, gone, gone + self.remember_ms}))

    @property
    def departures(self) -> tuple[int, ...]:
        """How long after a pane boundary ledger rows go, and ids are forgotten: what counting alone depends on."""
        gone = self.lateness_ms + self.horizon_ms
        return tuple(sorted({gone, gone + self.remember_ms}))

    def bounds(self, clock: int) -> Bounds:
        """Return which panes are live and which are known at `clock`."""
        gone = self.lateness_ms + self.horizon_ms
        live, known = ((clock - gone - more) // self.pane_ms for more in (0, self.remember_ms))
        return Bounds(self.pane_ms, self.horizon_ms, live, known)

    def instants(self, after: int, until: int) -> list[int]:
        """Return every instant in (after, until], ascending."""
        found: set[int] = set()
        for span in self.after_boundary:
            first = (after - span) // self.pane_ms + 1
            last = (until - span) // self.pane_ms
            found.update(range(first * self.pane_ms + span, last * self.pane_ms + span + 1, self.pane_ms))
        return sorted(found)

    def cuts(
        self, clock: int | None, times: NDArray[np.int64], after_boundary: tuple[int, ...]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Cut events in log order before each one that moves the clock to an instant.

        Args:
            clock: The clock before the first event; None where there was none.
            times: (n,) event times of accepted events, in log order.
            after_boundary: Which instants: `after_boundary`, or `departures` where nothing is judged at the others.

        Yields (first, last, clock before, clock after) of each piece [first, last) of events.
        """
        if not len(times):
            return
        start = int(times[0]) if clock is None else clock
        running = np.maximum.accumulate(np.concatenate(([start], times)))
        passed = sum(((running - span) // self.pane_ms for span in after_boundary), np.zeros(len(running), np.int64))
        edges = sorted({0, *np.flatnonzero(np.diff(passed)).tolist(), len(times)})
        for first, last in pairwise(edges):
            yield first, last, int(running[first]), int(running[last])


def first_pane(least_time: int, pane_ms: int) -> int:
    """Return the start of the first pane that makes windows: the first that starts at or after the least prediction time."""
    return -(-least_time // pane_ms) * pane_ms


def last_pane_end(greatest_time: int, pane_ms: int) -> int:
    """Return the end of the pane of the greatest prediction time."""
    return (greatest_time // pane_ms + 1) * pane_ms
