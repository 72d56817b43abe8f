"""What a simulated run is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of; everything else follows from its seed.

    Attributes:
        seed: Of everything.
        steps: How many things happen before the faults end.
        workers, judges, relays: Processes of each kind.
        storm: How often calls fail, 0 for never; at 2 a process lives for some ten turns.
        still: How often processes stand still in the middle of something, 0 for never.
        live: Whether the model's clock moves on by the wall clock where nothing comes.
        recreate: How likely, of some 8,000 things that happen, each is a topic that is made again.
        change: The same of files that change.
        decide: The same of people who decide.
    """

    seed: int
    steps: int = 300
    workers: int = 3
    judges: int = 2
    relays: int = 2
    storm: float = 1.0
    still: float = 1.0
    live: bool = False
    recreate: int = 40
    change: int = 60
    decide: int = 150

    @classmethod
    def of(cls, seed: int, steps: int = 300) -> Setting:
        """Return the setting that a seed alone stands for."""
        return cls(
            seed,
            steps,
            storm=(0.0, 1.0, 1.0, 2.0)[seed // 7 % 4],
            still=(0.0, 1.0, 2.0)[seed // 11 % 3],
            live=seed % 5 == 4,
            recreate=(0, 40, 80)[seed % 3],
            change=(0, 60)[seed % 2],
        )
