"""The engine of one partition: read, count, judge, land; drop everything and load again when a step did not land.

Takes ports. Gives reports of what each step did. Never: decides anything itself, or writes but through `land`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.canonical import short_id
from guardian.decisions.retraining import Request
from guardian.effects import Effects, Fates, PositionedWrite, Record
from guardian.engine.catalog import changes, load_catalog, removed
from guardian.engine.fates import Fate as ErrorFate
from guardian.engine.fates import fate_of
from guardian.engine.land import land
from guardian.errors import GuardianError
from guardian.events.codec import decode
from guardian.events.dead_letter import Problem, bury
from guardian.events.parts import JsonPart
from guardian.events.reasons import Reason
from guardian.panes.clock import last_pane_end
from guardian.panes.rows import Fate
from guardian.pipeline.coded import code_batch
from guardian.pipeline.count import count
from guardian.pipeline.judge import Judge
from guardian.pipeline.memory import PREFIX, ModelMemory
from guardian.pipeline.state import CLOCK, NO_PANE, ModelState, PartitionState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from guardian.engine.catalog import Held, References
    from guardian.engine.ports import Claim, Delivery, Log, Partition, Store, StoredState
    from guardian.events.dead_letter import DeadLetter
    from guardian.pipeline.epochs import Timeline
    from guardian.pipeline.judge import GroupTable
    from guardian.policies.load import PolicySet

TRIES_MAX: Final = 5  # Of one step against a fenced or busy store; then the error goes up.
OFFSETS_NAMED_MAX: Final = 20  # Offsets that one dead-letter record names; the table has them all.


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did.

    Attributes:
        events: Events taken from the log.
        next_offset: Where the next step starts.
        effects: What was landed.
    """

    events: int
    next_offset: int
    effects: Effects = field(repr=False)


class Engine:
    """Counts and judges one partition. Not for several threads."""

    def __init__(
        self, store: Store, log: Log, partition: Partition, owner: str, *, now: Callable[[], int], group_table: GroupTable
    ) -> None:
        self._store, self._log, self._partition, self._owner = store, log, partition, owner
        self._now, self._group_table = now, group_table
        self._buried: set[int] = set()
        self._limit: int | None = None
        self._taken = 0
        self._active: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        """Claim the partition, which fences whoever held it, and load its state."""
        self.claim: Claim = self._store.claim(self._partition, self._owner)
        if (end := self._log.end()) < self.claim.next_offset:
            raise LogGapError(
                f"the log ends at offset {end} and {self.claim.next_offset} events of it are counted",
                hint="somebody cut the log or put another in its place: restore it from a backup",
            )
        self._load()

    def _load(self) -> None:
        self.held: dict[str, Held] = load_catalog(self._store, self._partition)
        stored = self._store.load(self._partition)
        requests = [Request.from_json(row) for row in self._store.requests()]
        timelines = {name: held.timeline for name, held in self.held.items()}
        self.state = _state(stored, timelines)
        self.memories = {name: _memory(name, stored, requests) for name in timelines}
        self.judges = {name: Judge(name, self._group_table) for name in timelines}
        self._active = {name: self._active.get(name, self._now()) for name in timelines}

    @property
    def clocks(self) -> dict[str, int | None]:
        """Every model's clock."""
        return {name: model.clock for name, model in self.state.models.items()}

    @property
    def _watched(self) -> list[str]:
        return [name for name, held in self.held.items() if held.watched]

    def activate(self, files: PolicySet, references: References) -> Effects:
        """Make `files` hold where they differ from what holds; return what was landed."""

        def work() -> Effects:
            effects = changes(files, self.held, self.clocks, references, self.claim.next_offset)
            gone = removed(files, self.held)
            for name in gone:
                model, timeline = self.state.models[name], self.state.timelines[name]
                effects.extend(self.judges[name].abandon(model, timeline, self.memories[name]))
            if gone:
                effects.extend(self._writes())
            return effects

        effects = self._landed(work)
        if effects.positioned:
            self._load()
        return effects

    def step(self, limit: int) -> Step | None:
        """Count and judge about `limit` further events in one transaction; None when the log has no more."""

        def work() -> Effects:
            first, most = self.claim.next_offset, self._limit or limit
            deliveries = _continuous(self._log.read(first, most), first, most)
            self._taken = sum(len(d.events) for d in deliveries)
            return self._count(deliveries) if self._taken else Effects()

        before = self.claim.next_offset
        effects = self._landed(work)
        events = self.claim.next_offset - before
        return Step(events, self.claim.next_offset, effects) if events else None

    def end(self) -> Effects:
        """Write the end tick of every model: every window that events made becomes final."""
        return self._landed(lambda: self._tick("end-tick", {n: self._end_of(n) for n in self._watched}))

    def idle(self) -> Effects:
        """Move live clocks of silent models on to the wall time minus lateness."""
        return self._landed(lambda: self._tick("idle-tick", {n: self._idle_of(n) for n in self._watched}))

    def record(self, record: Record) -> None:
        """Append an audit record that is about no event."""
        self._landed(lambda: Effects(records=[record]))

    def _landed(self, work: Callable[[], Effects]) -> Effects:
        """Do one unit of work and land it; a fate of the error decides what happens when it does not land."""
        tries = 0
        while True:
            self._taken = 0
            try:
                effects = work()
                if effects != Effects():
                    self.claim = land(self._store, self.claim, self.claim.next_offset + self._taken, effects, self._now())
            except GuardianError as error:
                fate = fate_of(error)
                tries += fate is ErrorFate.RETRY
                narrowed = fate is ErrorFate.DEAD_LETTER and self._narrow()
                if fate is ErrorFate.STOP or tries == TRIES_MAX or (fate is ErrorFate.DEAD_LETTER and not narrowed):
                    raise
                self.open()
            else:
                self._limit = None
                self._buried.clear()
                return effects

    def _narrow(self) -> bool:
        """Halve the batch that failed; bury the one event that is left. False where there is nothing to leave out."""
        if self._taken == 0 or self.claim.next_offset in self._buried:
            return False
        if self._taken == 1:
            self._buried.add(self.claim.next_offset)
        self._limit = max(1, self._taken // 2)
        return True

    def _count(self, deliveries: Sequence[Delivery]) -> Effects:
        events = [event for delivery in deliveries for event in delivery.events]
        first, state, effects = self.claim.next_offset, self.state, Effects()
        known = {name: model.named for name, model in state.models.items()}
        watched = {name: state.timelines[name] for name in self._watched}
        batches, letters = code_batch([JsonPart(0, self._without_buried(events, first))], watched, known)
        letters = [replace(letter, offset=first + letter.offset) for letter in letters]
        letters = [letter for letter in letters if letter.offset not in self._buried]
        letters += [self._overflown(events[o - first], o) for o in sorted(self._buried) if first <= o < first + len(events)]
        received = _Received(deliveries)
        for name in sorted(batches):
            self._active[name] = self._now()
            timeline = state.timelines[name]

            def due(instant: int, name: str = name, timeline: Timeline = timeline) -> None:
                effects.extend(self.judges[name].judge(state.models[name], timeline, self.memories[name], instant))

            count(state.models[name], batches[name], timeline, received, due)
        effects.dead_letters += letters
        for letter in effects.dead_letters:
            self._dead(letter.model)
        effects.records += _intake(self._partition, first, events, effects)
        effects.extend(self._writes())
        return effects

    def _overflown(self, event: bytes, offset: int) -> DeadLetter:
        """Bury an event that is good by itself, under the name of its model."""
        models = {name: timeline.reading for name, timeline in self.state.timelines.items()}
        said = next(decode([event], offset, models))
        what = "its sum would leave 62 bits; declare a larger unit"
        return bury(event, offset, Problem(Reason.VALUE_OUT_OF_RANGE, "$.data", what, said.model), models.get(said.model))

    def _without_buried(self, events: list[bytes], first: int) -> list[bytes]:
        if not self._buried:
            return events
        return [b"" if first + i in self._buried else event for i, event in enumerate(events)]

    def _dead(self, model: str) -> None:
        if model in self.state.models:
            self.state.models[model].tell(Fate.DEAD_LETTERED, np.full(1, NO_PANE))
        else:
            self.state.nameless[Fate.DEAD_LETTERED.value] += 1

    def _writes(self) -> Effects:
        effects = Effects()
        for name, model in sorted(self.state.models.items()):
            timeline = self.state.timelines[name]
            pane_ms = timeline.latest.spans.pane_ms
            effects.extend(model.writes(name, pane_ms))
            effects.states += self.memories[name].writes(name)
            if model.clock is not None:
                model.forget(timeline.oldest_pane(model.clock))
        if self.state.nameless:
            effects.fates.append(Fates("", NO_PANE, dict(self.state.nameless)))
        return effects

    def _end_of(self, name: str) -> int | None:
        model, spans = self.state.models[name], self.state.timelines[name].latest.spans
        if not model.versions:
            return None
        last = max(last_pane_end(seen.last, spans.pane_ms) for seen in model.versions.values())
        return last + spans.lateness_ms + spans.horizon_ms

    def _idle_of(self, name: str) -> int | None:
        spec, now = self.state.timelines[name].latest.model.spec, self._now()
        if spec.clock != "live" or now < self._active[name] + spec.idle_after_ms:
            return None
        return now - spec.allowed_lateness

    def _tick(self, kind: str, clocks: Mapping[str, int | None]) -> Effects:
        """Move clocks on by positioned records, judging whatever becomes due on the way."""
        effects = Effects()
        for name, clock in sorted(clocks.items()):
            model, timeline = self.state.models[name], self.state.timelines[name]
            if clock is None or model.clock is None or clock <= model.clock:
                continue
            instants = timeline.latest.spans.instants(model.clock, clock)
            if kind == "idle-tick":
                if not instants:
                    continue  # Nothing depends on where between two instants a clock stands: no record is made of it.
                clock = instants[-1]
                for seen in model.versions.values():
                    seen.ticked = clock
            for instant in instants:
                effects.extend(self.judges[name].judge(model, timeline, self.memories[name], instant))
            model.advance(clock)
            body = {"model": name, "clock": clock}
            effects.positioned.append(PositionedWrite(kind, self.claim.next_offset, body))  # type: ignore[arg-type]  # both kinds are listed
            id_ = short_id(kind, name, str(clock), str(self.claim.next_offset))
            effects.records.append(Record("control", kind, id_, name, {**body, "offset": self.claim.next_offset}))
        if effects.positioned:
            effects.extend(self._writes())
        return effects


class LogGapError(GuardianError):
    """The log does not hold what it held, or not the event that is to be counted next: later offsets would mean other events."""

    code = "log.gap"


def _continuous(deliveries: list[Delivery], first_offset: int, limit: int) -> list[Delivery]:
    """Return at most `limit` events that follow on one another from `first_offset` on. Raises LogGapError."""
    out, expected = [], first_offset
    for delivery in deliveries:
        if delivery.first_offset != expected:
            raise LogGapError(
                f"the log goes on at offset {delivery.first_offset} where {expected} is to be counted next",
                hint="somebody removed events from the log: restore it from a backup",
            )
        room = limit - (expected - first_offset)
        if room <= 0:
            break
        out.append(replace(delivery, events=delivery.events[:room]))
        expected += len(delivery.events)
    return out


class _Received:
    """When the log took in events, by their positions in the step."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._firsts = np.array([d.first_offset - deliveries[0].first_offset for d in deliveries], np.int64)
        self._times = np.array([d.received_at for d in deliveries], np.int64)

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._times[np.searchsorted(self._firsts, positions, side="right") - 1]


def _state(stored: StoredState, timelines: Mapping[str, Timeline]) -> PartitionState:
    models = {}
    for name, timeline in timelines.items():
        clock = next((w.blob for w in stored.states if (w.model, w.name) == (name, CLOCK)), None)
        models[name] = ModelState.load(
            clock,
            (w for w in stored.panes if w.model == name),
            (w for w in stored.runs if w.model == name),
            (w for w in stored.fates if w.model == name),
            timeline,
        )
    state = PartitionState(timelines, models)
    for fates in stored.fates:
        if not fates.model:
            state.nameless.update(fates.counts)
    return state


def _memory(name: str, stored: StoredState, requests: Sequence[Request]) -> ModelMemory:
    blobs = [w.blob for w in stored.states if w.model == name and w.name.startswith(PREFIX)]
    return ModelMemory.load(name, blobs, {r.id: r for r in requests if r.model == name})


def _intake(partition: Partition, first: int, events: Sequence[bytes], effects: Effects) -> list[Record]:
    """Return the coverage record of a step, and what it says of dead letters."""
    stream, until = f"intake/{partition.number}", first + len(events)
    covered = hashlib.sha256()
    for event in events:
        covered.update(len(event).to_bytes(8, "little"))
        covered.update(event)
    body = {"from_offset": first, "to_offset": until, "count": len(events), "digest": f"sha256:{covered.hexdigest()}"}
    records = [Record(stream, "coverage", short_id("coverage", partition.topic, stream, str(first), str(until)), "", body)]
    if effects.dead_letters:
        reasons = Counter(letter.reason for letter in effects.dead_letters)
        said = {
            "from_offset": first,
            "to_offset": until,
            "count": len(effects.dead_letters),
            "reasons": dict(sorted(reasons.items())),
            "offsets": [letter.offset for letter in effects.dead_letters[:OFFSETS_NAMED_MAX]],
        }
        records.append(
            Record(stream, "dead-letters", short_id("dead-letters", partition.topic, stream, str(first), str(until)), "", said)
        )
    return records
