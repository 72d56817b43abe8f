"""What producers send to a simulated log: a story's events where they belong, and among them what real producers leave there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from guardian.adapters.kafka.log import key_of
from guardian.events.placement import Placement, partitions_of
from guardian.testing.plain_counts import PlainCounts
from guardian.testing.stories import (
    ACCURACY,
    DRIFT,
    MISSING,
    PARITY,
    POLICIES,
    START,
    Case,
    Plot,
    References,
    files,
    model,
    policy,
    prediction,
    with_copies,
)
from guardian.units import HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from guardian.catalog.model_file import ModelFile
    from guardian.policies.load import PolicySet
    from guardian.policies.model import PolicyFile
    from guardian.testing.simulated_log import SimulatedLog
    from guardian.testing.stories import Said

_PRESENT: Final = MISSING | {
    "warn": "< 0.95",
    "window": "1h",
    "require": {"rows": 1, "label_coverage": 0.0},
    "retrain": {"approval": "required", "cooldown": "1ms", "on": "warn"},
}
EAGER: Final = policy(  # Violated whenever there is something to judge, so that there is something to decide, again and again.
    "eager", *({**_PRESENT, "alert": f"Present{hours}", "open_after": hours} for hours in (1, 2, 3, 5))
)
POISON: Final = (b'{"type":', b"", b"[]", b"\xff")


@dataclass
class Rulebook:
    """The files that are to hold, and the tables beside them.

    Attributes:
        model: The story's model.
        references: Its reference table.
        policies: What is asked of it.
    """

    model: ModelFile
    references: References = field(default_factory=References)
    policies: Sequence[PolicyFile] = (*POLICIES, EAGER)

    @classmethod
    def of(cls, *, live: bool) -> Rulebook:
        """Return the story's own; `live` says that the model's clock moves on by the wall clock where nothing comes."""
        return cls(model(clock="live", idle_after="1h") if live else model())

    def files(self) -> PolicySet:
        """Return the files as they are now."""
        return files(self.model, self.policies)

    def change(self, rng: random.Random) -> None:
        """Let somebody edit limits, or the reference table too."""
        if rng.random() < 0.4:
            self.references.seed += 1
        drift, accuracy = (float(round(rng.uniform(*span), 2)) for span in ((0.1, 0.7), (0.7, 0.95)))
        inputs = policy("inputs", DRIFT | {"warn": f"> {drift}"}, MISSING)
        self.policies = (inputs, policy("outcome", ACCURACY | {"warn": f"< {accuracy}"}, PARITY), EAGER)


class Producer:
    """Sends a story to the partitions of a log.

    Attributes:
        told_at: The greatest event time sent, UTC milliseconds.
    """

    def __init__(self, logs: Sequence[SimulatedLog], rng: random.Random) -> None:
        versions = rng.choice((("1",), ("1", "2")))
        plot = Plot(rng.randrange(1_000), hours=7, an_hour=8, versions=versions, delay=HOUR_MS, drifts=(1, 4))
        events = plot.events()
        if rng.random() < 0.5:
            events = with_copies(events, rng, 50 * MINUTE_MS)
        self._logs, self._rng = logs, rng
        self._untold: deque[Said] = deque(events)
        self._number = 0
        self.told_at = START

    def plain(self, number: int) -> PlainCounts:
        """Return a new oracle of a partition."""
        return PlainCounts(
            HOUR_MS, 3 * HOUR_MS, 30 * MINUTE_MS, lambda identifier: self._partition_of(identifier.encode()) == number
        )

    def placement_of(self, number: int) -> Placement:
        """Return which ids belong to a partition."""
        return Placement("murmur2", len(self._logs), number)

    def _partition_of(self, key: bytes) -> int:
        return int(partitions_of("murmur2", [key], len(self._logs))[0])

    def produce(self, events: int, at: int) -> None:
        """Send some more events of the story, as of the wall clock `at`."""
        for _ in range(min(events, len(self._untold))):
            said = self._untold.popleft()
            self.told_at = max(self.told_at, said.time)
            self._append(self._logs[self._partition_of(key_of(said.event) or b"")], said.event, max(at, said.time + 1))

    def litter(self, at: int) -> None:
        """Leave in some partition what real producers leave: holes, poison, events that belong elsewhere, or nothing."""
        rng = self._rng
        log, drawn = rng.choice(self._logs), rng.random()
        if drawn < 0.15:
            log.leave_hole(1)
        elif drawn < 0.25:
            log.leave_hole(rng.randint(2, 6))
        elif drawn < 0.35:
            self._append(log, rng.choice(POISON), at)
        elif drawn < 0.4:
            self._append(log, self._filler(), at)

    def finish(self, at: int) -> None:
        """Send the rest of the story."""
        self.produce(len(self._untold), at)

    def fill(self, number: int, records: int, at: int) -> None:
        """Send predictions to a partition that the story does not have."""
        for _ in range(records):
            while self._partition_of(f"x-{self._number}".encode()) != number:
                self._number += 1
            self._append(self._logs[number], self._filler(), at)

    def _filler(self) -> bytes:
        return prediction(f"x-{self._number}", self.told_at, Case(2_000.0, "car", "f", 0.7, "yes", "yes"), "1")

    def _append(self, log: SimulatedLog, value: bytes, at: int) -> None:
        log.append(None, value, at, number=self._number)
        self._number += 1
