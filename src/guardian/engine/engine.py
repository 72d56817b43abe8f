"""The engine of one partition: read, count, judge, land; drop everything and load again when a step did not land.

Takes ports. Gives reports of what each step did. Never: decides anything itself, or writes but through `land`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.decisions.retraining import Request
from guardian.effects import Effects, Record
from guardian.engine.catalog import changes, removed
from guardian.engine.counting import Batch, Counting
from guardian.engine.coverage import digest_of_values
from guardian.engine.fates import Fate as ErrorFate
from guardian.engine.fates import fate_of
from guardian.engine.land import land
from guardian.engine.narrowing import Narrowing
from guardian.errors import GuardianError
from guardian.events.parts import JsonPart
from guardian.pipeline.judge import Judge
from guardian.pipeline.memory import ModelMemory
from guardian.pipeline.state import end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardian.effects import StateWrite
    from guardian.engine.catalog import Held, References
    from guardian.engine.ports import Claim, Delivery, Log, Partition, Store
    from guardian.pipeline.judge import GroupTable
    from guardian.pipeline.state import PartitionState
    from guardian.policies.load import PolicySet

TRIES_MAX: Final = 5  # Of one step against a fenced or busy store; then the error goes up.


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
        self._store, self._log = store, log
        self._counting = Counting(store, partition, owner, now=now)
        self._now, self._group_table = now, group_table
        self._narrowing = Narrowing()
        self._taken = 0
        self.open()

    @property
    def claim(self) -> Claim:
        """What the next step is counted under."""
        return self._counting.claim

    @property
    def held(self) -> dict[str, Held]:
        """What is and was watched."""
        return self._counting.held

    @property
    def state(self) -> PartitionState:
        """What is counted."""
        return self._counting.state

    def open(self) -> None:
        """Claim the partition, which fences whoever held it, and load its state."""
        claim = self._store.claim(self._counting.partition, self._counting.owner)
        if (end := self._log.end()) < claim.next_offset:
            raise LogGapError(
                f"the log ends at offset {end} and {claim.next_offset} events of it are counted",
                hint="somebody cut the log or put another in its place: restore it from a backup",
            )
        self._load(claim)

    def _load(self, claim: Claim) -> None:
        stored = self._counting.load(claim)
        requests = [Request.from_json(row) for row in self._store.requests()]
        self.memories = {
            name: ModelMemory.load(name, stored.states, {r.id: r for r in requests if r.model == name}) for name in self.held
        }
        self.judges = {name: Judge(name, self._group_table) for name in self.held}

    @property
    def clocks(self) -> dict[str, int | None]:
        """Every model's clock."""
        return {name: model.clock for name, model in self.state.models.items()}

    def activate(self, files: PolicySet, references: References) -> Effects:
        """Make `files` hold where they differ from what holds; return what was landed."""

        def work() -> Effects:
            effects = changes(files, self.held, self.clocks, references, {"offset": self.claim.next_offset})
            gone = removed(files, self.held)
            for name in gone:
                model, timeline = self.state.models[name], self.state.timelines[name]
                effects.extend(self.judges[name].abandon(model, timeline, self.memories[name]))
                effects.states += self.memories[name].writes(name)
            return effects

        effects = self._landed(work)
        if effects.positioned:
            self._load(self.claim)
        return effects

    def step(self, limit: int) -> Step | None:
        """Count and judge about `limit` further events in one transaction; None when the log has no more."""

        def work() -> Effects:
            first, most = self.claim.next_offset, self._narrowing.limit or limit
            deliveries = _continuous(self._log.read(first, most), first, most)
            self._taken = sum(len(d.events) for d in deliveries)
            return self._count(deliveries) if self._taken else Effects()

        before = self.claim.next_offset
        effects = self._landed(work)
        events = self.claim.next_offset - before
        return Step(events, self.claim.next_offset, effects) if events else None

    def end(self) -> Effects:
        """Write the end tick of every model: every window that events made becomes final."""
        return self._landed(lambda: self._tick("end-tick", self._end_of))

    def idle(self) -> Effects:
        """Move live clocks of silent models on to the wall time minus lateness."""
        return self._landed(lambda: self._tick("idle-tick", self._counting.idle_clock))

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
                    self._counting.claim = land(
                        self._store, self.claim, self.claim.next_offset + self._taken, effects, self._now()
                    )
            except GuardianError as error:
                fate = fate_of(error)
                tries += fate is ErrorFate.RETRY
                narrowed = fate is ErrorFate.DEAD_LETTER and self._narrowing.narrow(self.claim.next_offset, self._taken)
                if fate is ErrorFate.STOP or tries == TRIES_MAX or (fate is ErrorFate.DEAD_LETTER and not narrowed):
                    raise
                self.open()
            else:
                self._narrowing.reset()
                return effects

    def _count(self, deliveries: Sequence[Delivery]) -> Effects:
        judged = Effects()
        counted = self._counting.count(
            _batch(deliveries), lambda name, at: judged.extend(self._judge(name, at)), self._narrowing.buried
        )
        judged.extend(counted)
        judged.states += self._memory_writes()
        return judged

    def _judge(self, name: str, instant: int) -> Effects:
        state, timeline = self.state.models[name], self.state.timelines[name]
        return self.judges[name].judge(state, timeline, self.memories[name], instant)

    def _memory_writes(self) -> list[StateWrite]:
        return [write for name, memory in sorted(self.memories.items()) for write in memory.writes(name)]

    def _end_of(self, name: str) -> int | None:
        return end_of(self.state.models[name].versions, self.state.timelines[name].latest.spans)

    def _tick(self, kind: str, clock_of: Callable[[str], int | None]) -> Effects:
        judged = Effects()
        clocks = {name: clock_of(name) for name in self._counting.watched}
        ticked = self._counting.tick(kind, clocks, lambda name, at: judged.extend(self._judge(name, at)))
        judged.extend(ticked)
        judged.states += self._memory_writes()
        return judged


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


def _batch(deliveries: Sequence[Delivery]) -> Batch:
    events = [event for delivery in deliveries for event in delivery.events]
    first = deliveries[0].first_offset
    received = np.repeat([d.received_at for d in deliveries], [len(d.events) for d in deliveries])
    return Batch(
        first_offset=first,
        next_offset=first + len(events),
        parts=[JsonPart(0, events)],
        offsets=first + np.arange(len(events)),
        rows=np.zeros(len(events), np.int64),
        received=received.astype(np.int64),
        digest=digest_of_values(events),
    )
