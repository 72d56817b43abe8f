"""Stage 1: fold a batch of events of one partition into its state.

A function of the state, the batch and the timelines: no clock but the model's own, no randomness, no order but the log's. Events
are cut at the instants at which anything depends on its clock (panes.clock); before each cut the caller is told, so that
windows that are due are judged on exactly the events before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.panes.coding import class_indexes
from guardian.panes.counting import Labelled, input_counts, label_counts
from guardian.panes.ledger import fold
from guardian.panes.rows import Fate
from guardian.pipeline.state import NO_PANE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from guardian.panes.rows import Bounds, Change, Folded
    from guardian.pipeline.coded import ModelBatch
    from guardian.pipeline.epochs import Timeline
    from guardian.pipeline.state import ModelState

_VERSION_SHIFT: Final = 40  # A pane's key: version index above the pane ordinal.


def count(
    state: ModelState,
    batch: ModelBatch,
    timeline: Timeline,
    received: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    due: Callable[[int], None] | None,
) -> None:
    """Fold one model's batch into its state.

    Args:
        state: Changed in place.
        batch: The model's events in log order.
        timeline: Which parameters hold when.
        received: When the log took in the events at some positions.
        due: Called with every instant that the clock reaches, in order, before the event that moves it there; None where
            nobody judges at them.
    """
    state.name(batch.versions)
    spans = timeline.latest.spans
    skew = timeline.latest.model.spec.future_skew
    early = batch.times > received(batch.predictions.positions) + skew
    early_labels = batch.labels.times > received(batch.labels.positions) + skew
    state.tell(Fate.QUARANTINED, np.full(int(early.sum()) + int(early_labels.sum()), NO_PANE))
    positions = np.concatenate((batch.predictions.positions[~early], batch.labels.positions[~early_labels]))
    order = np.argsort(positions, kind="stable")
    positions = positions[order]
    times = np.concatenate((batch.times[~early], batch.labels.times[~early_labels]))[order]
    for first, last, before, after in spans.cuts(state.clock, times, spans.departures if due is None else spans.after_boundary):
        if due is not None:
            for instant in spans.instants(before, after):
                due(instant)
        high = positions[last] if last < len(positions) else np.iinfo(np.int64).max
        mine = _between(batch.predictions.positions, positions[first], high) & ~early
        theirs = _between(batch.labels.positions, positions[first], high) & ~early_labels
        _piece(state, batch, timeline, (mine, theirs), after)
        state.advance(after)


def _between(positions: NDArray[np.int64], low: int, high: int) -> NDArray[np.bool_]:
    found = np.zeros(len(positions), np.bool_)
    found[np.searchsorted(positions, low) : np.searchsorted(positions, high)] = True
    return found


def _piece(
    state: ModelState,
    batch: ModelBatch,
    timeline: Timeline,
    which: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    clock: int,
) -> None:
    """Fold events between which nothing departs; the last of them moves the clock to `clock`."""
    mine, theirs = which
    bounds, oldest = state.bounds(timeline.latest.spans, clock), timeline.oldest_pane(clock)
    predictions = _on_time(state, mine, batch.predictions.panes, bounds.live_from, oldest)
    labels = _on_time(state, theirs, batch.labels.times // bounds.pane_ms, bounds.live_from, oldest)
    names = tuple(dict.fromkeys((*batch.versions, *state.versions)))
    folded = fold(state.ledger, batch.predictions.take(predictions), batch.labels.take(labels), names, bounds)
    state.ledger = folded.ledger
    for fate, panes, amount in folded.fates:
        state.tell(fate, panes, amount)
    fresh = np.zeros(len(predictions), np.bool_)
    fresh[np.flatnonzero(predictions)] = folded.fresh
    _count_inputs(state, batch, fresh)
    _count_labels(state, timeline, folded, names, bounds)


def _on_time(
    state: ModelState, which: NDArray[np.bool_], panes: NDArray[np.int64], live_from: int, oldest: int
) -> NDArray[np.bool_]:
    """Tell what comes after its rows have gone as too late; return the rest of `which`."""
    late = which & (panes < live_from)
    state.tell(Fate.TOO_LATE, np.where(panes < oldest, NO_PANE, panes)[late])
    return which & ~late


def _count_inputs(state: ModelState, batch: ModelBatch, fresh: NDArray[np.bool_]) -> None:
    """Count the fresh predictions, given as a mask over the batch."""
    if not fresh.any():
        return
    versions, panes = batch.predictions.versions, batch.predictions.panes
    state.tell(Fate.COUNTED, panes[fresh])
    for version in np.unique(versions[fresh]).tolist():
        times = batch.times[fresh & (versions == version)]
        state.see(batch.versions[version], int(times.min()), int(times.max()))
    for block in batch.blocks:
        which = fresh[block.rows]
        if not which.any():
            continue
        rows = block.rows[which]
        keys = (versions[rows] << _VERSION_SHIFT) | panes[rows]
        for key, change in input_counts(block.parameters, keys, block.cells.take(which)):
            state.add(
                batch.versions[key >> _VERSION_SHIFT], key & ((1 << _VERSION_SHIFT) - 1), "inputs", change, block.parameters
            )


def _count_labels(state: ModelState, timeline: Timeline, folded: Folded, names: tuple[str, ...], bounds: Bounds) -> None:
    """Apply signed label counts, each under the parameters of its prediction's pane."""
    for change in folded.changes:
        epochs = _epochs(timeline, change.panes * bounds.pane_ms)
        for epoch in np.unique(epochs).tolist():
            parameters = timeline.epochs[epoch].parameters
            rows = _some(change, epochs == epoch)
            values = rows.labels
            if parameters.task != "regression":
                values = class_indexes(parameters, rows.labels)
            lags = rows.times // bounds.pane_ms - rows.panes
            labelled = Labelled(rows.cells, rows.values, values, lags, rows.signs)
            keys = (rows.versions << _VERSION_SHIFT) | rows.panes
            for key, vector in label_counts(parameters, keys, labelled):
                state.add(names[key >> _VERSION_SHIFT], key & ((1 << _VERSION_SHIFT) - 1), "labels", vector, parameters)


def _epochs(timeline: Timeline, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(timeline.epochs) == 1:
        return np.zeros(len(starts), np.int64)
    begins = np.array([epoch.effective_from for epoch in timeline.epochs], np.int64)
    return np.maximum(np.searchsorted(begins, starts, side="right") - 1, 0)


def _some(change: Change, which: NDArray[np.bool_]) -> Change:
    return type(change)(*(getattr(change, name)[which] for name in change.__dataclass_fields__))
