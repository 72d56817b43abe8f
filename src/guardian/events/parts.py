"""What one step of counting reads: parts, each of consecutive events in one form, in log order.

A part knows how to decode its events and how to show one of them as bytes. Takes what came out of the log; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from guardian.events.codec import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardian.catalog.model_file import ModelFile
    from guardian.events.dead_letter import DeadLetter, Problem
    from guardian.events.placement import Placement
    from guardian.events.rows import LabelRows, PredictionRows


class Part(Protocol):
    """Consecutive events of one step: they have the positions from `first` on without a gap; a step begins at 0."""

    @property
    def first(self) -> int:
        """Position of the first event."""

    def __len__(self) -> int: ...

    def decode(
        self, models: Mapping[str, ModelFile], placement: Placement | None = None
    ) -> Iterator[PredictionRows | LabelRows | DeadLetter]:
        """Decode all events; every position comes out exactly once, in a row or a dead letter."""

    def event(self, position: int, models: Mapping[str, ModelFile]) -> bytes:
        """Return the event at `position` of the step, as structured JSON or whatever came in its place."""


@dataclass(frozen=True, slots=True)
class ArrowPart:
    """Events in an Arrow table.

    Attributes:
        first: Position of the first in the step.
        batch: A pyarrow.RecordBatch, a row an event; see arrow.decode_arrow.
    """

    first: int
    batch: Any

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def decode(
        self, models: Mapping[str, ModelFile], placement: Placement | None = None
    ) -> Iterator[PredictionRows | LabelRows | DeadLetter]:
        """Decode all events; every position comes out exactly once, in a row or a dead letter."""
        from guardian.events.arrow import decode_arrow  # pyarrow takes a while to import, and logs of JSON do without.

        return decode_arrow(self.batch, self.first, models, placement)

    def event(self, position: int, models: Mapping[str, ModelFile]) -> bytes:
        """Return the event at `position` of the step, written out as structured JSON."""
        from guardian.events.arrow import written_out

        return written_out(self.batch, position - self.first, models)


@dataclass(frozen=True, slots=True)
class JsonPart:
    """Events in structured JSON.

    Attributes:
        first: Position of the first in the step.
        events: The bytes of each.
        problems: What is known to be wrong with some, by position in the step; these are not decoded.
    """

    first: int
    events: Sequence[bytes]
    problems: Mapping[int, Problem] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events)

    def decode(
        self, models: Mapping[str, ModelFile], placement: Placement | None = None
    ) -> Iterator[PredictionRows | LabelRows | DeadLetter]:
        """Decode all events; every position comes out exactly once, in a row or a dead letter."""
        return decode(self.events, self.first, models, self.problems, placement)

    def event(self, position: int, models: Mapping[str, ModelFile]) -> bytes:
        """Return the event at `position` of the step."""
        return self.events[position - self.first]
