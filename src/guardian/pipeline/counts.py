"""What judging reads of a model's counts, whether they are of one partition or merged over all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.panes.windows import Pane
    from guardian.pipeline.state import Seen


class Counts(Protocol):
    """What a judge reads of a model: one partition's state, or all partitions' merged.

    Attributes:
        clock: The model's clock.
        ticked: Windows are made up to here although nothing came.
        versions: What is known of each version's traffic.
        panes: The counts by version and pane ordinal.
        offsets: How far each partition was counted, by its name; empty where that follows from the log.
    """

    @property
    def clock(self) -> int | None:
        """The model's clock; None before its first event."""

    @property
    def ticked(self) -> int:
        """An instant, UTC milliseconds."""

    @property
    def versions(self) -> Mapping[str, Seen]:
        """Traffic by version."""

    @property
    def panes(self) -> Mapping[tuple[str, int], Pane]:
        """Counts by version and pane ordinal."""

    @property
    def offsets(self) -> Mapping[str, int]:
        """Next offset by the partition's name."""


def cumulated(state: Counts, version: str) -> tuple[int, list[tuple[int, int]]]:
    """Return the first pane of a version, and the predictions and labels before each pane from it on."""
    mine = sorted(pane for name, pane in state.panes if name == version)
    if not mine:
        return 0, [(0, 0)]
    sums, predictions, labelled = [(0, 0)], 0, 0
    for ordinal in range(mine[0], mine[-1] + 1):
        pane = state.panes.get((version, ordinal))
        if pane is not None:
            predictions, labelled = predictions + pane.predictions, labelled + pane.labelled
        sums.append((predictions, labelled))
    return mine[0], sums
