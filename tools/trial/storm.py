"""A rebalance storm: workers join and leave all the time, one to four at once."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trial.trial import Line, Plan, Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from services.postgres import Postgres

    from services.kafka import Kafka

EVERY_S: Final = 5.0
MOST: Final = 4


@dataclass(frozen=True)
class StormPlan:
    """What is to happen: the seed, the demo's models, how many of their events (None: all), and how long it storms."""

    seed: int
    models: tuple[str, ...]
    events: int | None
    seconds: float


class Storm(Trial):
    """A trial whose fault is the coming and going of workers."""

    def __init__(self, plan: StormPlan, folder: Path, kafka: Kafka, postgres: Postgres, say: Callable[[str], None]) -> None:
        super().__init__(
            Plan(plan.seed, plan.models, plan.events, plan.seconds, (), failpoint=0.0, crew=("w1",)), folder, kafka, postgres, say
        )
        self._names = 1

    def _inject(self) -> None:
        end = time.monotonic() + self.plan.seconds
        while time.monotonic() < end:
            time.sleep(EVERY_S)
            here = sorted(member.name for member in self.crew.alive())
            wanted = self.dice.choice([number for number in range(1, MOST + 1) if number != len(here)])
            for _ in range(wanted - len(here)):
                self._names += 1
                self.crew.join(f"w{self._names}")
                self._note(Line(self.elapsed, "joins", f"w{self._names}", f"{wanted} workers"))
            for name in self.dice.sample(here, max(0, len(here) - wanted)):
                number = self.dice.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGKILL))
                self.crew.leave(name, number)
                self._interruptions += 1
                self._note(Line(self.elapsed, "leaves", name, f"{wanted} workers, by {number.name}"))
