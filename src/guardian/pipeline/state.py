"""What one partition knows: for every model its clock, versions, ledger, panes and intake counters.

A fold of the log and of the positioned records before `next_offset`, and nothing else. A step changes it in place and remembers
what it touched; `writes` says what to store. A process whose step did not land drops the whole of it and loads again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from guardian.effects import Effects, Fates, PaneWrite, RunDrop, RunWrite, StateWrite
from guardian.panes.clock import last_pane_end
from guardian.panes.pane import SpaceName, Sparse
from guardian.panes.rows import Ledger
from guardian.panes.runs import Run
from guardian.panes.windows import Pane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardian.catalog.parameters import Parameters
    from guardian.panes.clock import Spans
    from guardian.panes.rows import Bounds, Fate
    from guardian.pipeline.epochs import Timeline

VERSIONS_MAX: Final = 256  # Versions of one model; predictions of further ones are dead letters `too-many-versions`.
NEVER: Final = -(1 << 60)  # Before every pane.
CLOCK: Final = "clock"  # Name of the state blob with clock and versions.
NO_PANE: Final = 0  # Where events are told that have no pane, one whose time is not to be trusted, or one that is forgotten.


@dataclass(slots=True)
class Seen:
    """What is known of one version's traffic.

    Attributes:
        first: Least prediction time.
        last: Greatest prediction time.
    """

    first: int
    last: int


def end_of(versions: Mapping[str, Seen], spans: Spans) -> int | None:
    """Return the instant at which every window that predictions made is final; None where there are none."""
    if not versions:
        return None
    last = max(last_pane_end(seen.last, spans.pane_ms) for seen in versions.values())
    return last + spans.lateness_ms + spans.horizon_ms


@dataclass(frozen=True, slots=True)
class Clock:
    """What is stored of a model's clock in one partition.

    Attributes:
        clock: Greatest time of its accepted events, or where a tick moved it; None before the first.
        ticked: Windows are made up to here although nothing came: an idle tick of a live clock said so.
        versions: What is known of each version's traffic.
        named: Versions that events named.
        departed: Panes before these have no ledger rows, and are not known, any longer.
        next_run: The number of the next ledger run.
    """

    clock: int | None = None
    ticked: int = 0
    versions: Mapping[str, Seen] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    departed: tuple[int, int] = (NEVER, NEVER)
    next_run: int = 0

    def to_bytes(self) -> bytes:
        """Return the blob that is stored."""
        versions = {v: [seen.first, seen.last] for v, seen in self.versions.items()}
        body = {
            "clock": self.clock,
            "ticked": self.ticked,
            "versions": versions,
            "named": sorted(self.named),
            "departed": self.departed,
            "next_run": self.next_run,
        }
        return msgspec.json.encode(body)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Clock:
        """Read `to_bytes` back."""
        body: dict[str, Any] = msgspec.json.decode(blob)
        versions = {v: Seen(*values) for v, values in body["versions"].items()}
        departed = (body["departed"][0], body["departed"][1])
        return cls(body["clock"], body["ticked"], versions, frozenset(body["named"]), departed, body["next_run"])


@dataclass
class ModelState:
    """What is known of one model in one partition."""

    clock: int | None = None
    ticked: int = 0
    versions: dict[str, Seen] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    departed: tuple[int, int] = (NEVER, NEVER)
    offsets: Mapping[str, int] = field(default_factory=dict)  # Where one partition is judged follows from its log.
    ledger: Ledger = field(default_factory=Ledger)
    panes: dict[tuple[str, int], Pane] = field(default_factory=dict)
    fates: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    touched_panes: set[tuple[str, int, SpaceName]] = field(default_factory=set)
    touched_fates: set[int] = field(default_factory=set)
    touched_clock: bool = False
    stored_runs: frozenset[int] = frozenset()

    def see(self, version: str, first: int, last: int) -> None:
        """Take note of counted predictions of a version between two times."""
        seen = self.versions.setdefault(version, Seen(first, last))
        seen.first, seen.last = min(seen.first, first), max(seen.last, last)
        self.touched_clock = True

    def bounds(self, spans: Spans, clock: int) -> Bounds:
        """Return which panes are live and known at `clock`; a pane whose rows have gone never comes back, whatever files say."""
        found = spans.bounds(clock)
        live, known = max(found.live_from, self.departed[0]), max(found.known_from, self.departed[1])
        self.departed = live, known
        return replace(found, live_from=live, known_from=known)

    def name(self, versions: Iterable[str]) -> None:
        """Take note of versions that events named, whatever became of the events: these are what VERSIONS_MAX bounds."""
        new = set(versions) - self.named
        if new:
            self.named |= new
            self.touched_clock = True

    def advance(self, clock: int) -> None:
        """Move the clock on; it never goes back."""
        if self.clock is None or clock > self.clock:
            self.clock = clock
            self.touched_clock = True

    def add(self, version: str, pane: int, space: SpaceName, change: Sparse, parameters: Parameters) -> None:
        """Merge a vector into a pane's space."""
        found = self.panes.get((version, pane))
        if found is None:
            found = self.panes[version, pane] = Pane(parameters, Sparse.zero(), Sparse.zero())
        setattr(found, space, getattr(found, space).merge(change))
        found.recount()
        self.touched_panes.add((version, pane, space))

    def tell(self, fate: Fate, panes: np.ndarray, amount: int = 1) -> None:
        """Add to intake counters by the pane of each event."""
        if not len(panes):
            return
        for pane, n in zip(*(x.tolist() for x in np.unique(panes, return_counts=True)), strict=True):
            self.fates[pane][fate.value] += n * amount
            self.touched_fates.add(pane)

    def forget(self, before_pane: int) -> None:
        """Drop panes from memory that no window can need any more (they stay in the store)."""
        for key in [key for key in self.panes if key[1] < before_pane]:
            del self.panes[key]
        for pane in [pane for pane in self.fates if NO_PANE != pane < before_pane]:
            del self.fates[pane]

    def writes(self, name: str, pane_ms: int) -> Effects:
        """Return what a commit must store of what was touched since the last one, and start anew."""
        out = Effects()
        for version, pane, space in sorted(self.touched_panes):
            found = self.panes[version, pane]
            blob = (found.inputs if space == "inputs" else found.labels).to_bytes()
            out.panes.append(PaneWrite(name, version, pane * pane_ms, space, found.parameters.digest, blob))
        runs = self.ledger.runs
        for number in sorted(runs.keys() - self.stored_runs):
            kind, version, run = runs[number]
            out.runs.append(RunWrite(name, number, kind, version, len(run), run.to_bytes()))
        out.dropped_runs += [RunDrop(name, number) for number in sorted(self.stored_runs - runs.keys())]
        out.fates += [Fates(name, pane * pane_ms, dict(self.fates[pane])) for pane in sorted(self.touched_fates)]
        if self.touched_clock or runs.keys() != self.stored_runs:
            out.states.append(StateWrite(name, CLOCK, self._clock_blob()))
        self.stored_runs = frozenset(runs)
        self.touched_panes, self.touched_fates, self.touched_clock = set(), set(), False
        return out

    def tick(self, clock: int) -> None:
        """Move the clock on although nothing came; windows are made up to it."""
        self.ticked = max(self.ticked, clock)
        self.touched_clock = True
        self.advance(clock)

    def _clock_blob(self) -> bytes:
        named, departed, next_run = frozenset(self.named), self.departed, self.ledger.next_run
        return Clock(self.clock, self.ticked, self.versions, named, departed, next_run).to_bytes()

    @classmethod
    def load(
        cls,
        clock: bytes | None,
        panes: Iterable[PaneWrite],
        runs: Iterable[RunWrite],
        fates: Iterable[Fates],
        timeline: Timeline,
    ) -> ModelState:
        """Rebuild a model's state from what was stored of it."""
        state = cls()
        pane_ms = timeline.latest.model.spec.pane
        said = Clock() if clock is None else Clock.from_bytes(clock)
        state.clock, state.ticked, state.departed = said.clock, said.ticked, said.departed
        state.versions, state.named = dict(said.versions), set(said.named)
        for write in panes:
            key = (write.version, write.start // pane_ms)
            if key not in state.panes:
                state.panes[key] = Pane(timeline.at(write.start).parameters, Sparse.zero(), Sparse.zero())
            setattr(state.panes[key], write.space, Sparse.from_bytes(write.blob))
            state.panes[key].recount()
        for fate in fates:
            state.fates[fate.pane // pane_ms].update(fate.counts)
        state.ledger = _ledger(runs, said.next_run)
        state.stored_runs = frozenset(state.ledger.runs)
        return state


def _ledger(runs: Iterable[RunWrite], next_run: int) -> Ledger:
    """Return the ledger of stored runs; a run's number is its age."""
    predictions: dict[str, tuple[Run, ...]] = {}
    labels: tuple[Run, ...] = ()
    for write in sorted(runs, key=lambda r: r.run):
        run = Run.from_bytes(write.run, write.blob)
        if write.kind == "predictions":
            predictions[write.version] = (*predictions.get(write.version, ()), run)
        else:
            labels = (*labels, run)
    return Ledger(predictions, labels, next_run)


@dataclass
class PartitionState:
    """What is known of every model in one partition, and of events whose model could not be told."""

    timelines: Mapping[str, Timeline]
    models: dict[str, ModelState]
    nameless: dict[str, int] = field(default_factory=lambda: defaultdict(int))
