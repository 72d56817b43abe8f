"""How labels find their predictions: the winner of each id, signed label counts, and the fate of every label.

Part of panes.ledger, whose docstring has the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.panes.coding import CELL_BITS
from guardian.panes.rows import FOREVER, HASH_MASK, HASH_SHIFT, LOCATION, TOLD, Change, Fate, maybe_forgotten
from guardian.panes.runs import PanesOf, Run, add, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from guardian.panes.rows import Bounds, Folded, Labels, Ledger, Predictions

_BY_STATUS: Final = (Fate.UNMATCHED, Fate.BEYOND_HORIZON, Fate.BEFORE_PREDICTION, Fate.JOINED, Fate.TOO_LATE)
_NONE, _BEYOND, _BEFORE, _JOINED, _TOO_LATE = range(5)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Predictions known of some ids in one version: `old` were there before, `new` came in this fold."""

    version: int
    hit: NDArray[np.bool_]
    new: NDArray[np.bool_]
    locations: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Join:
    """The labels of some ids: what is stored, and what this fold brings, sorted by id and then by log order.

    Attributes:
        ids: (m,) ascending.
        labels: The fold's labels; `group` is each one's place in `ids`.
        had: (m,) whether a label is stored, with its time, its hash and the status told of it, and value.
    """

    ids: NDArray[np.uint64]
    labels: Labels
    group: NDArray[np.int64]
    had: NDArray[np.bool_]
    time: NDArray[np.int64]
    tail: NDArray[np.int64]
    value: NDArray[np.int64]

    @classmethod
    def of(cls, ledger: Ledger, ids: NDArray[np.uint64], labels: Labels, bounds: Bounds) -> Join:
        """Look up what is stored of `ids`."""
        stored = find(ledger.labels, ids, low=bounds.known_from, high=FOREVER, width=3)
        time, tail, value = stored.columns
        had = stored.hit & (time // bounds.pane_ms >= bounds.known_from)
        return cls(ids, labels, np.searchsorted(ids, labels.ids), had, time, tail, value)

    def concerned(self) -> Join:
        """Return the ids that have a label, stored or new: nothing changes for the others."""
        keep = self.had.copy()
        keep[self.group] = True
        place = np.cumsum(keep) - 1
        parts = (self.had[keep], self.time[keep], self.tail[keep], self.value[keep])
        return Join(self.ids[keep], self.labels, place[self.group], *parts)


def join_labels(
    out: Folded,
    join: Join,
    predictions: Predictions,
    fresh: Mapping[int, NDArray[np.int64]],
    names: tuple[str, ...],
    bounds: Bounds,
) -> None:
    """Let the ids' labels compete, and turn what changes into signed counts and moves between fates."""
    join = join.concerned()
    if not len(join.ids):
        return
    rows = _rows(out.ledger, join.ids, predictions, fresh, names, bounds)
    join, accepted = _refuse(out, join, rows, bounds)
    won, time, hashes, value = _compete(out, join, accepted, bounds)
    before, after = join.tail & TOLD, _status(rows, time, bounds)
    after = np.where(won, np.where((after == _NONE) & maybe_forgotten(time, bounds), _TOO_LATE, after), _better(before, after))
    changed = won | (join.had & (before != after))
    _move(out, join, won, (time, before, after), bounds)
    for row in rows:
        live = row.hit & (LOCATION(row.locations) >= bounds.live_from)
        was = live & join.had & won & ~row.new & (_code(row.locations, join.time, bounds) == _JOINED)
        now = live & (won | (join.had & row.new)) & (_code(row.locations, time, bounds) == _JOINED)
        _count(out, row, was, (join.time, join.value), -1)
        _count(out, row, now, (time, value), 1)
    if changed.any():
        _keep(out, join.ids[changed], (time[changed], (hashes << HASH_SHIFT | after)[changed], value[changed]), bounds)


def _keep(out: Folded, ids: NDArray[np.uint64], columns: tuple[NDArray[np.int64], ...], bounds: Bounds) -> None:
    """Add label rows, new or with a new status, as a run."""
    panes, number = columns[0] // bounds.pane_ms, out.ledger.next_run
    run = Run(number, ids, columns, int(panes.min()), int(panes.max()))
    by_time = PanesOf(pane_ms=bounds.pane_ms)
    runs = add(out.ledger.labels, run, oldest=bounds.known_from, panes_of=by_time, next_number=number + 1)
    out.ledger = replace(out.ledger, labels=runs, next_run=number + 2)


def _rows(
    ledger: Ledger,
    ids: NDArray[np.uint64],
    predictions: Predictions,
    fresh: Mapping[int, NDArray[np.int64]],
    names: tuple[str, ...],
    bounds: Bounds,
) -> list[_Rows]:
    """Return, version by version, what predictions are known of `ids`."""
    found = []
    for version, name in enumerate(names):
        runs = ledger.predictions.get(name, ())
        new_rows = fresh.get(version, np.zeros(0, np.int64))
        if not runs and not len(new_rows):
            continue
        old = find(runs, ids, low=bounds.known_from, high=FOREVER, width=2)
        locations, values = old.columns
        hit = old.hit & (LOCATION(locations) >= bounds.known_from)
        new = np.zeros(len(ids), np.bool_)
        if len(new_rows):
            at = np.searchsorted(predictions.ids[new_rows], ids)
            new = predictions.ids[new_rows].take(at, mode="clip") == ids
            rows = new_rows[at[new]]
            locations[new] = (predictions.panes[rows] << CELL_BITS) | predictions.cells[rows]
            values[new] = predictions.values[rows]
        found.append(_Rows(version, hit | new, new, locations, values))
    return found


def had_prediction(tail: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which stored labels, given by their tails, found a prediction at some time."""
    told = tail & TOLD
    found: NDArray[np.bool_] = (told != _NONE) & (told != _TOO_LATE)
    return found


def _refuse(out: Folded, join: Join, rows: list[_Rows], bounds: Bounds) -> tuple[Join, NDArray[np.bool_]]:
    """Say which of the fold's labels may compete; the others came when all they could change had departed or was forgotten."""
    live, departed = np.zeros(len(join.ids), np.bool_), np.zeros(len(join.ids), np.bool_)
    for row in rows:
        gone = LOCATION(row.locations) < bounds.live_from
        live |= row.hit & ~gone
        departed |= row.hit & gone
    lost = join.had & ~live & ~departed & had_prediction(join.tail)
    refused = ((departed & ~live) | lost)[join.group]
    if refused.any():
        group, times = join.group[refused], join.labels.times[refused]
        status = np.zeros(len(group), np.int64)
        for row in rows:
            status = np.maximum(status, np.where(row.hit[group], _code(row.locations[group], times, bounds), _NONE))
        status[(status == _JOINED) | (status == _NONE)] = _TOO_LATE
        _tell(out, status, times // bounds.pane_ms, 1)
    return join, ~refused


def _compete(
    out: Folded, join: Join, accepted: NDArray[np.bool_], bounds: Bounds
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each id whether a new label won, and the winning time, hash and value.

    In log order, a label equal to the winner so far is a duplicate; each that loses, then or later, is superseded.
    """
    labels, group = join.labels.take(accepted), join.group[accepted]
    n = len(group)
    winner, copies, loses = np.full(len(join.ids), -1), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    winner[group] = np.arange(n)
    rivals = join.had | (np.bincount(group, minlength=len(join.ids)) > 1)
    contested = np.flatnonzero(rivals[group])  # Most labels come alone, and win.
    if len(contested):
        place = (np.cumsum(rivals) - 1)[group[contested]]
        last, copies[contested] = _rounds(join, rivals, labels.take(contested), place)
        winner[rivals] = np.where(last >= 0, contested[last], -1)
        loses[contested] = ~copies[contested]
        loses[winner[winner >= 0]] = False
    won = winner >= 0
    winner = winner[won]
    panes = labels.times // bounds.pane_ms
    out.fates.append((Fate.DUPLICATE, panes[copies], 1))
    out.fates.append((Fate.SUPERSEDED, panes[loses], 1))
    time, value, hashes = join.time.copy(), join.value.copy(), join.tail >> HASH_SHIFT & HASH_MASK
    time[won], value[won], hashes[won] = labels.times[winner], labels.values[winner], labels.hashes[winner]
    return won, time, hashes, value


def _rounds(
    join: Join, which: NDArray[np.bool_], labels: Labels, group: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Let labels compete for the ids in `which`; `group` is each one's place among these, ascending.

    Returns for each id the last label that beat what was there, or -1, and for each label whether it equals the winner so far.
    """
    had, m, n = join.had[which], int(which.sum()), len(group)
    times = np.concatenate((join.time[which], labels.times))
    hashes = np.concatenate((join.tail[which] >> HASH_SHIFT & HASH_MASK, labels.hashes))
    order = np.lexsort((hashes, times))
    steps = np.append(False, (np.diff(times[order]) != 0) | (np.diff(hashes[order]) != 0))
    rank = np.empty(m + n, np.int64)
    rank[order] = np.cumsum(steps)
    span = m + n + 1
    stored = np.arange(m) * span + np.where(had, rank[:m] + 1, 0)
    mine = group * span + rank[m:] + 1
    highest = np.maximum.accumulate(np.maximum(mine, stored[group]))
    previous = np.where(np.append(True, group[1:] != group[:-1]), stored[group], np.append(0, highest[:-1]))
    last = np.full(m, -1, np.int64)
    beats = np.flatnonzero(mine > previous)
    last[group[beats]] = beats  # Ascending, so the last one to beat the rest stays.
    return last, mine == previous


def _code(locations: NDArray[np.int64], times: NDArray[np.int64], bounds: Bounds) -> NDArray[np.int64]:
    """Return what the rule says of label times for predictions at `locations`."""
    start = LOCATION(locations) * bounds.pane_ms
    beyond = times >= start + bounds.pane_ms + bounds.horizon_ms
    return np.where(times < start, _BEFORE, np.where(beyond, _BEYOND, _JOINED))


def _status(rows: list[_Rows], times: NDArray[np.int64], bounds: Bounds) -> NDArray[np.int64]:
    """Return the status of each id's label: the best over the versions that scored it."""
    status = np.zeros(len(times), np.int64)
    for row in rows:
        status = np.maximum(status, np.where(row.hit, _code(row.locations, times, bounds), _NONE))
    return status


def _better(told: NDArray[np.int64], status: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what holds of a stored label: what was told of it (what it joined may be forgotten), or better."""
    return np.where((status != _NONE) & ((told == _TOO_LATE) | (status > told)), status, told)


def _move(
    out: Folded,
    join: Join,
    won: NDArray[np.bool_],
    label: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    bounds: Bounds,
) -> None:
    """Move labels between fates: a displaced one to superseded, one whose prediction came to joined.

    `label` is the holding labels' times, and the status of the stored and of the holding ones.
    """
    time, before, after = label
    displaced, moved = join.had & won, join.had & ~won & (before != after)
    panes = join.time // bounds.pane_ms
    _tell(out, before[displaced], panes[displaced], -1)
    out.fates.append((Fate.SUPERSEDED, panes[displaced], 1))
    _tell(out, after[won], time[won] // bounds.pane_ms, 1)
    _tell(out, before[moved], panes[moved], -1)
    _tell(out, after[moved], panes[moved], 1)


def _tell(out: Folded, status: NDArray[np.int64], panes: NDArray[np.int64], amount: int) -> None:
    for code in np.unique(status).tolist():
        out.fates.append((_BY_STATUS[code], panes[status == code], amount))


def _count(
    out: Folded, row: _Rows, which: NDArray[np.bool_], label: tuple[NDArray[np.int64], NDArray[np.int64]], sign: int
) -> None:
    """Add a signed count for every pair in `which`; `label` is the labels' times and values."""
    if not which.any():
        return
    times, labels = label
    locations, n = row.locations[which], int(which.sum())
    out.changes.append(
        Change(
            versions=np.full(n, row.version),
            panes=LOCATION(locations),
            cells=locations & ((1 << CELL_BITS) - 1),
            values=row.values[which],
            times=times[which],
            labels=labels[which],
            signs=np.full(n, sign),
        )
    )
