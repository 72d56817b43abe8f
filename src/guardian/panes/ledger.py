"""The join ledger: count every prediction once, and every prediction's winning label once, in any order.

Two maps for each model and partition, each a short list of sorted immutable runs (panes.runs):

    predictions   (id, version) -> location, value            the first sight stays
    labels        id -> time, event-id hash and status, value the greatest (time, event-id hash) stays

A location is `pane ordinal << 32 | cell`. Label counts are a pure function of the two maps: +1 for every pair that is admitted,
`pane start <= label time < pane end + horizon`. Early labels, corrections and duplicates then need no special case: a batch gives
signed changes. Rows older than `live_from` are departed: what they counted stays as it is, and they only name the fate of a label
that comes too late. Rows older than `known_from` are forgotten.

Nothing is updated in place: `fold` returns a new ledger and what changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from guardian.panes.coding import CELL_BITS
from guardian.panes.joining import Join, had_prediction, join_labels
from guardian.panes.rows import FOREVER, LOCATION, Fate, Folded, Labels
from guardian.panes.runs import Run, add, distinct, find, ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guardian.panes.rows import Bounds, Ledger, Predictions


def fold(ledger: Ledger, predictions: Predictions, labels: Labels, names: tuple[str, ...], bounds: Bounds) -> Folded:
    """Fold predictions and labels during which no pane departs; `names` are the versions' names by index.

    Rows that are too late by their own pane must have been taken out before. Events are folded in log order where order matters.
    """
    cuts = _tangled(ledger, predictions, labels, bounds)
    if not cuts:
        return _fold(ledger, predictions, labels, names, bounds)
    whole = Folded(ledger, np.zeros(len(predictions.ids), np.bool_))
    for low, high in zip([-1, *cuts], [*cuts, FOREVER], strict=True):
        mine = (predictions.positions >= low) & (predictions.positions < high)
        piece = _fold(
            whole.ledger,
            predictions.take(mine),
            labels.take((labels.positions >= low) & (labels.positions < high)),
            names,
            bounds,
        )
        whole.ledger = piece.ledger
        whole.fresh[mine] = piece.fresh
        whole.changes += piece.changes
        whole.fates += piece.fates
    return whole


def _tangled(ledger: Ledger, predictions: Predictions, labels: Labels, bounds: Bounds) -> list[int]:
    """Return positions to cut at: labels of ids that come again in this fold, where only log order says which may compete.

    Those are ids whose prediction has departed, or that have a label whose prediction is forgotten.
    """
    if not len(labels.ids):
        return []
    ids, counts = np.unique(np.concatenate((distinct(predictions.ids), labels.ids)), return_counts=True)
    repeated = ids[counts > 1]
    if not len(repeated):
        return []
    known, gone = np.zeros(len(repeated), np.bool_), np.zeros(len(repeated), np.bool_)
    for runs in ledger.predictions.values():
        found = find(runs, repeated, low=bounds.known_from, high=FOREVER, width=2)
        panes = LOCATION(found.columns[0])
        known |= found.hit & (panes >= bounds.known_from)
        gone |= found.hit & (panes >= bounds.known_from) & (panes < bounds.live_from)
    stored = find(ledger.labels, repeated, low=bounds.known_from, high=FOREVER, width=3)
    lost = stored.hit & ~known & had_prediction(stored.columns[1])
    hard = labels.positions[np.isin(labels.ids, repeated[gone | lost])]
    return [int(position) for position in np.unique(np.concatenate((hard, hard + 1)))]


def _fold(ledger: Ledger, predictions: Predictions, labels: Labels, names: tuple[str, ...], bounds: Bounds) -> Folded:
    out = Folded(ledger, np.zeros(len(predictions.ids), np.bool_))
    fresh = {v: _sight(out, predictions, v, names[v], bounds) for v in np.unique(predictions.versions).tolist()}
    labels = labels.take(ordered(labels.ids))
    ids = distinct(np.concatenate([labels.ids, *(predictions.ids[rows] for rows in fresh.values())]))
    if len(ids):
        join_labels(out, Join.of(ledger, ids, labels, bounds), predictions, fresh, names, bounds)
    for version, rows in fresh.items():
        if len(rows):
            _keep(out, predictions, rows, names[version], bounds)
    return out


def _sight(out: Folded, predictions: Predictions, version: int, name: str, bounds: Bounds) -> NDArray[np.int64]:
    """Mark the first sights of one version; return their row numbers by ascending id."""
    mine = np.flatnonzero(predictions.versions == version)
    order = mine[ordered(predictions.ids[mine])]
    ids = predictions.ids[order]
    first = np.append(True, ids[1:] != ids[:-1])
    known = find(out.ledger.predictions.get(name, ()), ids, low=bounds.known_from, high=FOREVER, width=2)
    seen = known.hit & (LOCATION(known.columns[0]) >= bounds.known_from)
    fresh = order[first & ~seen]
    out.fresh[fresh] = True
    again = order[~(first & ~seen)]
    if len(again):
        out.fates.append((Fate.DUPLICATE, predictions.panes[again], 1))
        _conflicts(out, predictions, order, first, known.columns, seen)
    return fresh


def _conflicts(
    out: Folded,
    predictions: Predictions,
    order: NDArray[np.int64],
    first: NDArray[np.bool_],
    stored: tuple[NDArray[np.int64], ...],
    seen: NDArray[np.bool_],
) -> None:
    """Count copies whose content differs from the first sight: the producer broke "same id, same content"."""
    locations = (predictions.panes[order] << CELL_BITS) | predictions.cells[order]
    values = predictions.values[order]
    lead = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    kept_location = np.where(seen, stored[0], locations[lead])
    kept_value = np.where(seen, stored[1], values[lead])
    differs = (locations != kept_location) | (values != kept_value)
    if differs.any():
        out.fates.append((Fate.CONFLICTING, predictions.panes[order[differs]], 1))


def _keep(out: Folded, predictions: Predictions, rows: NDArray[np.int64], name: str, bounds: Bounds) -> None:
    """Add fresh predictions of one version, given by ascending id, as a run."""
    panes = predictions.panes[rows]
    columns = ((panes << CELL_BITS) | predictions.cells[rows], predictions.values[rows])
    number = out.ledger.next_run
    run = Run(number, predictions.ids[rows], columns, int(panes.min()), int(panes.max()))
    runs = out.ledger.predictions.get(name, ())
    runs = add(runs, run, oldest=bounds.known_from, panes_of=LOCATION, next_number=number + 1)
    out.ledger = replace(out.ledger, predictions={**out.ledger.predictions, name: runs}, next_run=number + 2)
