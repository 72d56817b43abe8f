"""The join ledger against a dictionary that takes one event at a time, for any order, any batching and any clock."""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.panes import runs as runs_module
from guardian.panes.clock import Spans
from guardian.panes.coding import CELL_BITS
from guardian.panes.ledger import fold
from guardian.panes.rows import Fate, Labels, Ledger, Predictions
from guardian.panes.runs import FAN

NAMES = ("1", "2", "3")
PANE = 10
RANK = {Fate.TOO_LATE: 0, Fate.UNMATCHED: 0, Fate.BEYOND_HORIZON: 1, Fate.BEFORE_PREDICTION: 2, Fate.JOINED: 3}


@dataclass(frozen=True)
class Prediction:
    id: int
    version: int
    time: int
    cell: int
    value: int = 0


@dataclass(frozen=True)
class Label:
    id: int
    time: int
    hash: int
    value: int


@dataclass
class Stored:
    label: Label
    fate: Fate


@dataclass
class Oracle:
    """Both maps as dictionaries; the rule as the docstrings of panes.ledger and panes.rows say it, event by event."""

    spans: Spans
    clock: int | None = None
    rows: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    fates: Counter = field(default_factory=Counter)
    fresh: list = field(default_factory=list)

    def take(self, event) -> None:
        self.clock = event.time if self.clock is None else max(self.clock, event.time)
        gone = self.spans.lateness_ms + self.spans.horizon_ms
        self.live, self.known = ((self.clock - gone - more) // PANE for more in (0, self.spans.remember_ms))
        self.rows = {key: row for key, row in self.rows.items() if row.time // PANE >= self.known}
        self.labels = {i: s for i, s in self.labels.items() if s.label.time // PANE >= self.known}
        too_late = event.time // PANE < self.live
        if isinstance(event, Prediction):
            self.fresh.append(not too_late and self.predict(event))
        elif too_late:
            self.tell(Fate.TOO_LATE, event)
        else:
            self.say(event)
        assert min(self.fates.values()) >= 0

    def tell(self, fate, event, n=1) -> None:
        self.fates[fate, event.time // PANE] += n

    def predict(self, event) -> bool:
        key = event.id, event.version
        if key in self.rows:
            kept = self.rows[key]
            self.tell(Fate.DUPLICATE, event)
            if (kept.time // PANE, kept.cell, kept.value) != (event.time // PANE, event.cell, event.value):
                self.tell(Fate.CONFLICTING, event)
            return False
        self.rows[key] = event
        self.tell(Fate.COUNTED, event)
        stored = self.labels.get(event.id)
        if stored is not None:
            self.move(stored, max(stored.fate, self.rule(event, stored.label), key=RANK.get))
            self.count(event, stored.label, 1)
        return True

    def say(self, label) -> None:
        rows = [row for (i, _), row in self.rows.items() if i == label.id]
        live = [row for row in rows if row.time // PANE >= self.live]
        stored = self.labels.get(label.id)
        ruled = max((self.rule(row, label) for row in rows), key=RANK.get, default=Fate.UNMATCHED)
        if not live and (rows or (stored and RANK[stored.fate])):
            self.tell(Fate.TOO_LATE if ruled in {Fate.JOINED, Fate.UNMATCHED} else ruled, label)
        elif stored is not None and (label.time, label.hash) == (stored.label.time, stored.label.hash):
            self.tell(Fate.DUPLICATE, label)
        elif stored is not None and (label.time, label.hash) < (stored.label.time, stored.label.hash):
            self.tell(Fate.SUPERSEDED, label)
        else:
            if stored is not None:
                self.move(stored, Fate.SUPERSEDED)
            if ruled is Fate.UNMATCHED and self.forgotten(label):
                ruled = Fate.TOO_LATE
            self.labels[label.id] = Stored(label, ruled)
            self.tell(ruled, label)
            for row in live:
                if stored is not None:
                    self.count(row, stored.label, -1)
                self.count(row, label, 1)

    def rule(self, row, label) -> Fate:
        start = row.time // PANE * PANE
        if label.time < start:
            return Fate.BEFORE_PREDICTION
        return Fate.JOINED if label.time < start + PANE + self.spans.horizon_ms else Fate.BEYOND_HORIZON

    def forgotten(self, label) -> bool:
        """Whether a pane that would admit the label is forgotten."""
        return (
            any(
                p * PANE <= label.time < (p + 1) * PANE + self.spans.horizon_ms
                for p in range(label.time // PANE + 1)
                if p < self.known
            )
            or label.time - self.spans.horizon_ms < min(self.known, 0) * PANE
        )

    def move(self, stored, fate) -> None:
        self.tell(stored.fate, stored.label, -1)
        stored.fate = fate
        self.tell(fate, stored.label)

    def count(self, row, label, sign) -> None:
        if self.rule(row, label) is Fate.JOINED:
            self.counts[row.version, row.time // PANE, row.cell, row.value, label.time // PANE, label.value] += sign


@dataclass
class Folding:
    """The ledger driven as stage 1 drives it: cut at instants, what is too late taken out before."""

    spans: Spans
    clock: int | None = None
    ledger: Ledger = field(default_factory=Ledger)
    counts: Counter = field(default_factory=Counter)
    fates: Counter = field(default_factory=Counter)
    fresh: list = field(default_factory=list)
    offset: int = 0

    def take(self, events) -> None:
        times = np.array([event.time for event in events], np.int64)
        for first, last, _, after in self.spans.cuts(self.clock, times, self.spans.departures):
            self.piece(events[first:last], after)
            self.clock = after

    def piece(self, events, clock) -> None:
        bounds = self.spans.bounds(clock)
        numbered = list(enumerate(events, self.offset))
        self.offset += len(events)
        on_time = [(o, e) for o, e in numbered if e.time // PANE >= bounds.live_from]
        self.fates.update(
            (Fate.TOO_LATE, e.time // PANE) for e in events if e.time // PANE < bounds.live_from and isinstance(e, Label)
        )
        said = [(o, e) for o, e in on_time if isinstance(e, Prediction)]
        truth = [(o, e) for o, e in on_time if isinstance(e, Label)]
        folded = fold(self.ledger, predictions(said), labels(truth), NAMES, bounds)
        self.ledger = folded.ledger
        seen = dict(zip([o for o, _ in said], folded.fresh.tolist(), strict=True))
        self.fresh += [seen.get(o, False) for o, e in numbered if isinstance(e, Prediction)]
        self.fates.update((Fate.COUNTED, e.time // PANE) for o, e in said if seen[o])
        for fate, panes, amount in folded.fates:
            for pane in panes.tolist():
                self.fates[fate, pane] += amount
        for c in folded.changes:
            rows = zip(
                *(x.tolist() for x in (c.versions, c.panes, c.cells, c.values, c.times // PANE, c.labels, c.signs)), strict=True
            )
            for *key, sign in rows:
                self.counts[tuple(key)] += sign


def predictions(numbered) -> Predictions:
    columns = [(o, e.id, e.version, e.time // PANE, e.cell, e.value) for o, e in numbered]
    offsets, ids, *rest = np.array(columns, np.int64).reshape(-1, 6).T
    return Predictions(offsets, ids.astype(np.uint64), *rest)


def labels(numbered) -> Labels:
    columns = [(o, e.id, e.time, e.hash, e.value) for o, e in numbered]
    offsets, ids, *rest = np.array(columns, np.int64).reshape(-1, 5).T
    return Labels(offsets, ids.astype(np.uint64), *rest)


def live(counts: Counter) -> dict:
    return {key: n for key, n in counts.items() if n}


def conserved(events, fates: Counter) -> None:
    """I5, by the names of the fates, over the events so far."""
    total = Counter()
    for (fate, _), n in fates.items():
        total[fate] += n
    kinds = Counter(type(e) for e in events)
    mine = (Fate.JOINED, Fate.SUPERSEDED, Fate.BEFORE_PREDICTION, Fate.BEYOND_HORIZON, Fate.UNMATCHED)
    both = total[Fate.DUPLICATE] + total[Fate.TOO_LATE]
    assert sum(total[f] for f in mine) + total[Fate.COUNTED] + both == kinds[Prediction] + kinds[Label]


def check_runs(ledger: Ledger, known_from: int) -> None:
    for runs in (*ledger.predictions.values(), ledger.labels):
        for run in runs:
            assert (np.diff(run.ids.astype(np.int64)) > 0).all()
        rows = sum(map(len, runs))
        cap = runs_module.RUN_ROWS_MAX
        assert len(runs) <= 2 + np.log(max(rows, 1)) / np.log(FAN / (FAN - 1)) + 8 * rows / cap
    for runs in ledger.predictions.values():
        known = [
            i
            for run in runs
            for i, row in zip(run.ids.tolist(), run.columns[0].tolist(), strict=True)
            if row >> CELL_BITS >= known_from
        ]
        assert len(known) == len(set(known))
    numbers = list(ledger.runs)
    assert len(numbers) == len(set(numbers))
    assert max(numbers, default=-1) < ledger.next_run


def compare(spans: Spans, events, cuts) -> None:
    oracle, folding = Oracle(spans), Folding(spans)
    edges = sorted({0, len(events), *(c for c in cuts if c < len(events))})
    for low, high in pairwise(edges):
        folding.take(events[low:high])
        for event in events[low:high]:
            oracle.take(event)
            if isinstance(event, Prediction) and event.time // PANE < oracle.live:
                oracle.tell(Fate.TOO_LATE, event)
                folding.fates[Fate.TOO_LATE, event.time // PANE] += 1
        assert live(folding.fates) == live(oracle.fates)
        assert live(folding.counts) == live(oracle.counts)
        assert folding.fresh == oracle.fresh
        conserved(events[:high], folding.fates)
        check_runs(folding.ledger, oracle.known)


@st.composite
def histories(draw, most=40):
    """Events of few ids whose times advance, so that rows depart and are forgotten while others come late."""
    pace = draw(st.sampled_from((0, 1, 3, 8)))
    events, now = [], 0
    for _ in range(draw(st.integers(0, most))):
        now += draw(st.integers(0, 2 * pace))
        time = max(0, now + draw(st.integers(-60, 40)))
        id_ = draw(st.integers(0, 2))
        if draw(st.booleans()):
            events.append(Prediction(id_, draw(st.integers(0, 2)), time, draw(st.integers(0, 1)), draw(st.integers(0, 1))))
        else:
            hash_ = draw(st.sampled_from((0, 1, (1 << 48) - 1)))
            events.append(Label(id_, time, hash_, (time + hash_) % 2))
    return events


SPANS = [Spans(PANE, 7, 25, 0), Spans(PANE, 0, 30, 20), Spans(PANE, 15, 5, 40), Spans(PANE, 12, 200, 0)]


@pytest.mark.parametrize("spans", SPANS, ids=str)
@settings(max_examples=120, deadline=None)
@given(events=histories(), cuts=st.lists(st.integers(0, 40), max_size=8))
def test_any_history_in_any_batches_equals_one_event_at_a_time(spans, events, cuts):
    compare(spans, events, cuts)


@pytest.mark.parametrize("cap", [6, runs_module.RUN_ROWS_MAX])
@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_of_many_ids_is_merged_into_few_runs(monkeypatch, cap, seed):
    monkeypatch.setattr(runs_module, "RUN_ROWS_MAX", cap)
    rng, events = random.Random(seed), []
    for now in range(1_200):
        time = max(0, now // 2 + rng.randint(-50, 20))
        if rng.random() < 0.5:
            events.append(Prediction(rng.randrange(200), rng.randrange(2), time, rng.randrange(3)))
        else:
            events.append(Label(rng.randrange(200), time, rng.randrange(3), rng.randrange(2)))
    compare(Spans(PANE, 12, 80, 15), events, sorted(rng.sample(range(1_200), 60)))


def test_what_is_forgotten_leaves_the_runs():
    folding = Folding(Spans(PANE, 0, 10, 0))
    for start in range(0, 1_000, 5):
        folding.take([Prediction(start, 0, start, 0), Label(start, start, 0, 0)])
    known = folding.spans.bounds(folding.clock).known_from
    for runs in (folding.ledger.predictions["1"], folding.ledger.labels):
        assert all(run.high >= known for run in runs)
        assert sum(map(len, runs)) < 20
