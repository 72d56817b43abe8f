"""Counting one partition: whose claim it is, what it knows, and what a batch or a tick changes in it.

Takes a store and batches. Gives effects, which its caller lands. Never: reads the log, judges, or decides what follows from an
error. State is changed in place: when effects did not land, `load` again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.canonical import short_id
from guardian.effects import Effects, Fates, PositionedWrite, Record
from guardian.engine.catalog import load_catalog
from guardian.events.dead_letter import Problem
from guardian.events.parts import JsonPart
from guardian.events.reasons import Reason
from guardian.panes.rows import Fate
from guardian.pipeline.coded import code_batch
from guardian.pipeline.count import count
from guardian.pipeline.state import CLOCK, NO_PANE, ModelState, PartitionState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from guardian.engine.catalog import Held
    from guardian.engine.ports import Claim, Partition, Store, StoredState
    from guardian.events.dead_letter import DeadLetter
    from guardian.events.parts import Part
    from guardian.events.placement import Placement
    from guardian.pipeline.epochs import Timeline

OFFSETS_NAMED_MAX: Final = 20  # Offsets that one dead-letter record names; the table has them all.

Due = Callable[[str, int], None] | None
"""Told every instant that a model's clock reaches, before the event that moves it there; None where nobody judges at them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to be counted in one step.

    Attributes:
        first_offset: Where the covered interval begins.
        next_offset: Where it ends, and the next step begins.
        parts: The n events, in log order.
        offsets: (n,) int64, each event's offset.
        rows: (n,) int64, each event's place in a record that holds several.
        received: (n,) int64, when the log took each in, UTC milliseconds.
        digest: Of the covered bytes.
    """

    first_offset: int
    next_offset: int
    parts: Sequence[Part]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    received: NDArray[np.int64]
    digest: str


class Counting:
    """One partition's claim and state. Not for several threads."""

    def __init__(self, store: Store, partition: Partition, owner: str, *, now: Callable[[], int]) -> None:
        self.store, self.partition, self.owner, self.now = store, partition, owner, now
        self._active: dict[str, int] = {}

    def take(self) -> None:
        """Claim the partition, which fences whoever held it, and load its state."""
        self.load(self.store.claim(self.partition, self.owner))

    def load(self, claim: Claim) -> StoredState:
        """Load the state that belongs to a claim, and return it."""
        self.claim = claim
        self.held: dict[str, Held] = load_catalog(self.store, self.partition)
        stored = self.store.load(self.partition)
        self.state = _state(stored, {name: held.timeline for name, held in self.held.items()})
        self._active = {name: self._active.get(name, self.now()) for name in self.held}
        return stored

    @property
    def watched(self) -> list[str]:
        """The names of the models that are watched."""
        return [name for name, held in self.held.items() if held.watched]

    def count(self, batch: Batch, due: Due, buried: Collection[int] = (), placement: Placement | None = None) -> Effects:
        """Fold a batch.

        Args:
            batch: The events.
            due: See `Due`.
            buried: Offsets of records that are dead letters although each of their events is good: their sums would overflow.
            placement: Which partition events belong to, where that is to be checked.
        """
        state, effects = self.state, Effects()
        known = {name: model.named for name, model in state.models.items()}
        watched = {name: state.timelines[name] for name in self.watched}
        parts = batch.parts if not buried else list(self._buried(batch, buried))
        batches, letters = code_batch(parts, watched, known, placement)
        for name in sorted(batches):
            self._active[name] = self.now()
            count(state.models[name], batches[name], state.timelines[name], batch.received.take, due and partial(due, name))
        effects.dead_letters += [_placed(letter, batch) for letter in letters]
        for model, n in Counter(letter.model for letter in effects.dead_letters).items():
            self._dead(model, n)
        effects.records += _intake(self.partition, batch, effects.dead_letters)
        effects.extend(self.writes())
        return effects

    def _buried(self, batch: Batch, buried: Collection[int]) -> Iterator[Part]:
        models = {name: timeline.reading for name, timeline in self.state.timelines.items()}
        said = "its sum would leave 62 bits; declare a larger unit"
        for part in batch.parts:
            positions = range(part.first, part.first + len(part))
            dead = [p for p in positions if int(batch.offsets[p]) in buried]
            if not dead:
                yield part
                continue
            found = {p: next(JsonPart(0, [part.event(p, models)]).decode(models)).model for p in dead}
            problems = {p: Problem(Reason.VALUE_OUT_OF_RANGE, "$.data", said, model) for p, model in found.items()}
            yield JsonPart(part.first, [part.event(p, models) for p in positions], problems)

    def _dead(self, model: str, n: int) -> None:
        if model in self.state.models:
            self.state.models[model].tell(Fate.DEAD_LETTERED, np.full(1, NO_PANE), n)
        else:
            self.state.nameless[Fate.DEAD_LETTERED.value] += n

    def writes(self) -> Effects:
        """Return what a commit must store of what was touched since the last one, and start anew."""
        effects = Effects()
        for name, model in sorted(self.state.models.items()):
            timeline = self.state.timelines[name]
            effects.extend(model.writes(name, timeline.latest.spans.pane_ms))
            if model.clock is not None:
                model.forget(timeline.oldest_pane(model.clock))
        if self.state.nameless:
            effects.fates.append(Fates("", NO_PANE, dict(self.state.nameless)))
        return effects

    def idle_clock(self, name: str, *, elsewhere: bool = False) -> int | None:
        """Return where a live clock of a silent model is to be moved to; None where it is not.

        `elsewhere` says that the model has events in other partitions: one that has none in this one then holds it back.
        """
        spec, now = self.state.timelines[name].latest.model.spec, self.now()
        if self.state.models[name].clock is None and not elsewhere:
            return None
        if spec.clock != "live" or now < self._active[name] + spec.idle_after_ms:
            return None
        return now - spec.allowed_lateness

    def tick(self, kind: str, clocks: Mapping[str, int | None], due: Due) -> Effects:
        """Move clocks on by positioned records; `due` is told what is passed on the way."""
        effects = Effects()
        for name, clock in sorted(clocks.items()):
            model, timeline = self.state.models[name], self.state.timelines[name]
            if clock is None or (model.clock is not None and clock <= model.clock):
                continue
            instants = timeline.latest.spans.instants(clock if model.clock is None else model.clock, clock)
            if kind == "idle-tick":
                if model.clock is not None and not instants:
                    continue  # Nothing depends on where between two instants a clock stands: no record is made of it.
                clock = instants[-1] if instants else clock
                model.ticked, model.touched_clock = clock, True
            _tell(due, name, instants)
            model.advance(clock)
            effects.extend(self._positioned(kind, name, clock))
        if effects.positioned:
            effects.extend(self.writes())
        return effects

    def _positioned(self, kind: str, name: str, clock: int) -> Effects:
        offset = self.claim.next_offset
        body = {"model": name, "clock": clock}
        said = {**body, "offset": offset, "partition": self.partition.number}
        id_ = short_id(kind, name, str(clock), self.partition.topic, str(self.partition.number), str(offset))
        return Effects(
            positioned=[PositionedWrite(kind, offset, body)],  # type: ignore[arg-type]  # both kinds are listed
            records=[Record("control", kind, id_, name, said)],
        )


def _tell(due: Due, name: str, instants: Sequence[int]) -> None:
    if due is not None:
        for instant in instants:
            due(name, instant)


def _placed(letter: DeadLetter, batch: Batch) -> DeadLetter:
    position = letter.offset
    return replace(letter, offset=int(batch.offsets[position]), row=int(batch.rows[position]))


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


def _intake(partition: Partition, batch: Batch, letters: Sequence[DeadLetter]) -> list[Record]:
    """Return the coverage record of a step, and what it says of dead letters."""
    stream, first, until = f"intake/{partition.number}", batch.first_offset, batch.next_offset
    body = {"from_offset": first, "to_offset": until, "count": len(batch.offsets), "digest": batch.digest}
    records = [Record(stream, "coverage", short_id("coverage", partition.topic, stream, str(first), str(until)), "", body)]
    if letters:
        said = {
            "from_offset": first,
            "to_offset": until,
            "count": len(letters),
            "reasons": dict(sorted(Counter(letter.reason for letter in letters).items())),
            "offsets": list(dict.fromkeys(letter.offset for letter in letters))[:OFFSETS_NAMED_MAX],
        }
        id_ = short_id("dead-letters", partition.topic, stream, str(first), str(until))
        records.append(Record(stream, "dead-letters", id_, "", said))
    return records
