"""Judging one model beside the counting of it: read what all partitions counted, judge what is due, land.

Whoever claims the model's seat fences who sat there before: a judge that was stopped and wakes up lands nothing. A sitting reads
one state of the database, so that every revision can name the offsets it was judged at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardian.decisions.retraining import Request
from guardian.effects import Effects
from guardian.engine.catalog import load_catalog
from guardian.engine.land import land
from guardian.engine.ports import Partition
from guardian.pipeline.judge import Judge
from guardian.pipeline.memory import ModelMemory
from guardian.pipeline.merged import Merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardian.engine.catalog import Held
    from guardian.engine.ports import Store
    from guardian.pipeline.judge import GroupTable

INSTANTS_MAX: Final = 32  # Judged in one transaction; the others at the next sitting.


def seat_of(model: str) -> Partition:
    """Return the partition whose claim is the right to judge a model; its offset counts sittings."""
    return Partition(f"judge/{model}", 0)


class ModelJudge:
    """Judges one model. Not for several threads."""

    def __init__(
        self, store: Store, topic: str, model: str, owner: str, *, now: Callable[[], int], group_table: GroupTable
    ) -> None:
        self._store, self._topic, self._model, self._owner = store, topic, model, owner
        self._now = now
        self._judge = Judge(model, group_table)
        self.open()

    def open(self) -> None:
        """Claim the seat and load what was remembered."""
        self._claim = self._store.claim(seat_of(self._model), self._owner)
        self._held: Held | None = load_catalog(self._store, seat_of(self._model)).get(self._model)
        stored = self._store.load(seat_of(self._model))
        requests = (Request.from_json(row) for row in self._store.requests())
        self._memory = ModelMemory.load(self._model, stored.states, {r.id: r for r in requests if r.model == self._model})
        self._merged = Merged()
        self._since: dict[int, int] = {}

    def sit(self) -> Effects | None:
        """Judge what is due, at most INSTANTS_MAX instants of it, and land it; None when nothing was.

        Raises FencedError when somebody else took the seat, or the files or a request changed meanwhile: `open` again.
        """
        stands = self._store.position(self._claim.partition)
        if stands.epoch == self._claim.epoch and stands.catalog != self._claim.catalog:
            self.open()  # A model that is not watched any longer may have nothing due, so that no landing would say so.
        if self._held is None:
            return None
        self._read(self._held)
        effects = self._judged(self._held) if self._held.watched else self._abandoned(self._held)
        effects.states += self._memory.writes(self._model)
        if effects == Effects():
            return None
        self._claim = land(self._store, self._claim, self._claim.next_offset + 1, effects, self._now())
        return effects

    def _read(self, held: Held) -> None:
        timeline, merged = held.timeline, self._merged
        pane_ms, reached = timeline.latest.spans.pane_ms, self._memory.judged
        oldest = None if reached is None else timeline.oldest_pane(reached)
        found = self._store.gather(self._topic, self._model, self._since, None if oldest is None else oldest * pane_ms)
        merged.take_clocks(found.clocks, len(found.offsets))
        merged.take_panes(found.panes, timeline)
        merged.offsets = {f"{self._topic}/{number}": offset for number, offset in sorted(found.offsets.items())}
        self._since = dict(found.offsets)
        if oldest is not None:
            merged.forget(oldest)

    def _due(self) -> list[int]:
        merged, held = self._merged, self._held
        if held is None or merged.clock is None or not merged.versions:
            return []
        begin = self._memory.judged
        if begin is None:
            begin = min(seen.first for seen in merged.versions.values())
        return held.timeline.latest.spans.instants(begin, merged.clock)

    def _judged(self, held: Held) -> Effects:
        effects = Effects()
        for instant in self._due()[:INSTANTS_MAX]:
            effects.extend(self._judge.judge(self._merged, held.timeline, self._memory, instant))
            self._memory.judge_until(instant)
        return effects

    def _abandoned(self, held: Held) -> Effects:
        return self._judge.abandon(self._merged, held.timeline, self._memory)
