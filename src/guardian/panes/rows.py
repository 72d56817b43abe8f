"""The join ledger's types: coded rows, both maps, and what a fold gives. The laws are in panes.ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from guardian.panes.coding import CELL_BITS
from guardian.panes.runs import PanesOf, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

MapName = Literal["predictions", "labels"]
HASH_SHIFT: Final = 16  # A label row's tail: 48 bits of event-id hash above the status that was told of it.
HASH_MASK: Final = (1 << 48) - 1  # The topmost bit of a hash is the tail's sign, so what is shifted down is masked.
TOLD: Final = (1 << HASH_SHIFT) - 1  # Mask of that status.
LOCATION: Final = PanesOf(shift=CELL_BITS)
FOREVER: Final = 1 << 62  # Later than every pane and every offset.


class Fate(StrEnum):
    """What became of a well-formed event. Public: intake counters carry these names."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    JOINED = "joined"
    SUPERSEDED = "superseded"
    BEFORE_PREDICTION = "before-prediction"
    BEYOND_HORIZON = "beyond-horizon"
    UNMATCHED = "unmatched"
    TOO_LATE = "too-late"
    QUARANTINED = "quarantined"
    DEAD_LETTERED = "dead-lettered"
    CONFLICTING = "conflicting"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The model's spans and how far its clock has come.

    Attributes:
        pane_ms: Length of a pane.
        horizon_ms: A label counts if it is known less than this after its prediction's pane.
        live_from: Panes before it are departed.
        known_from: Panes before it are forgotten.
    """

    pane_ms: int
    horizon_ms: int
    live_from: int
    known_from: int


@dataclass(frozen=True, slots=True)
class Predictions:
    """Coded predictions in log order; every array has shape (n,), `versions` index into the caller's names."""

    positions: NDArray[np.int64]
    ids: NDArray[np.uint64]
    versions: NDArray[np.int64]
    panes: NDArray[np.int64]
    cells: NDArray[np.int64]
    values: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Predictions:
        """Return some of the rows."""
        return Predictions(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Labels:
    """Coded labels in log order; every array has shape (n,). `hashes` are 48 bits of the event id's hash."""

    positions: NDArray[np.int64]
    ids: NDArray[np.uint64]
    times: NDArray[np.int64]
    hashes: NDArray[np.int64]
    values: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Labels:
        """Return some of the rows."""
        return Labels(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Ledger:
    """Both maps: prediction runs by version, label runs, and the number of the next run."""

    predictions: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    labels: tuple[Run, ...] = ()
    next_run: int = 0

    @property
    def runs(self) -> dict[int, tuple[MapName, str, Run]]:
        """Every run by number, with its kind and version."""
        found: dict[int, tuple[MapName, str, Run]] = {r.number: ("labels", "", r) for r in self.labels}
        for version, runs in self.predictions.items():
            found |= {r.number: ("predictions", version, r) for r in runs}
        return found


@dataclass(frozen=True, slots=True)
class Change:
    """Signed label counts, arrays (n,): the prediction's version, pane, cell and value, the label's time and value, +-1."""

    versions: NDArray[np.int64]
    panes: NDArray[np.int64]
    cells: NDArray[np.int64]
    values: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: NDArray[np.int64]
    signs: NDArray[np.int64]


@dataclass
class Folded:
    """What one fold gives: the new ledger, which predictions are fresh, label changes, and moves between fates.

    `fates` holds (fate, panes, amounts): intake counters to add to, by the pane of the event.
    """

    ledger: Ledger
    fresh: NDArray[np.bool_]
    changes: list[Change] = field(default_factory=list)
    fates: list[tuple[Fate, NDArray[np.int64], int]] = field(default_factory=list)


def maybe_forgotten(times: NDArray[np.int64], bounds: Bounds) -> NDArray[np.bool_]:
    """Return which label times are admitted by some pane that is already forgotten."""
    return (times - bounds.horizon_ms) // bounds.pane_ms < bounds.known_from
