"""One model over all partitions of a log, as its judge sees it: panes merge exactly, the clock is the slowest partition's.

A partition in which the model has no event yet holds the clock back until a tick: there may be events in it that come first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guardian.panes.pane import Sparse
from guardian.panes.windows import Pane
from guardian.pipeline.state import Clock, Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardian.effects import PaneWrite
    from guardian.pipeline.epochs import Timeline

Place = tuple[str, int]
"""A version and a pane's ordinal."""


@dataclass
class Merged:
    """What `pipeline.counts.Counts` says of one model, and the parts that it is merged from.

    Attributes:
        clock: The least clock of all partitions; None while one has none.
        ticked: The least of what the partitions say.
        versions: Least and greatest prediction times over all partitions.
        panes: The merged counts.
        offsets: How far each partition was counted when this was read, by its name.
    """

    clock: int | None = None
    ticked: int = 0
    versions: dict[str, Seen] = field(default_factory=dict)
    panes: dict[Place, Pane] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    _parts: dict[Place, dict[int, Pane]] = field(default_factory=lambda: defaultdict(dict))

    def take_clocks(self, clocks: Mapping[int, bytes], partitions: int) -> None:
        """Read the stored clocks of partitions 0 to `partitions` - 1, those that the model has none in left out."""
        said = [Clock.from_bytes(blob) for blob in clocks.values()]
        known = [clock.clock for clock in said if clock.clock is not None]
        self.clock = min(known) if partitions and len(known) == partitions else None
        self.ticked = min((clock.ticked for clock in said), default=0) if len(said) == partitions else 0
        self.versions = {}
        for clock in said:
            for version, seen in clock.versions.items():
                before = self.versions.setdefault(version, Seen(seen.first, seen.last))
                before.first, before.last = min(before.first, seen.first), max(before.last, seen.last)

    def take_panes(self, writes: Iterable[tuple[int, PaneWrite]], timeline: Timeline) -> None:
        """Put panes, each with the number of its partition, in the place of what was known of them."""
        pane_ms = timeline.latest.spans.pane_ms
        changed: set[Place] = set()
        for number, write in writes:
            place = (write.version, write.start // pane_ms)
            mine = self._parts[place].get(number)
            if mine is None:
                mine = self._parts[place][number] = Pane(timeline.at(write.start).parameters, Sparse.zero(), Sparse.zero())
            setattr(mine, write.space, Sparse.from_bytes(write.blob))
            changed.add(place)
        for place in changed:
            self.panes[place] = _sum(list(self._parts[place].values()))

    def forget(self, before_pane: int) -> None:
        """Drop panes that no window can need any more."""
        for place in [place for place in self.panes if place[1] < before_pane]:
            del self.panes[place], self._parts[place]


def _sum(panes: list[Pane]) -> Pane:
    inputs, labels = panes[0].inputs, panes[0].labels
    for pane in panes[1:]:
        inputs, labels = inputs.merge(pane.inputs), labels.merge(pane.labels)
    return Pane(panes[0].parameters, inputs, labels)
