"""A fleet to which everything happens keeps every law, and comes to what an undisturbed run comes to.

More seeds than the fixed ones: GUARDIAN_SIMULATE_SEEDS=1000 pytest tests/testing/test_simulator.py
"""

import functools
import os
from collections import Counter

import pytest

from guardian.testing import simulator
from guardian.testing.invariants import BrokenLawError
from guardian.testing.simulated_setting import Setting
from guardian.testing.simulator import Simulation

SEEDS = range(int(os.environ.get("GUARDIAN_SIMULATE_SEEDS", "40")))
STEPS = 250
# What must have happened, some way or other, for the laws to mean anything.
HAPPENINGS = {
    "coverage",
    "gap",
    "halted",
    "resumed",
    "dead-letters",
    "activation",
    "decision",
    "idle-tick",
    "end-tick",
    "verdicts",
}


@functools.cache
def run(seed: int) -> tuple[str, Counter]:
    """Return what went wrong, and how often each kind of thing was recorded."""
    simulation = Simulation(Setting.of(seed, STEPS))
    try:
        simulation.run()
    except BrokenLawError as error:
        return str(error), Counter()
    return "", Counter(record.kind for record in simulation.store.rows())


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_happens_breaks_a_law(seed):
    broken, _ = run(seed)
    assert not broken


@pytest.mark.slow
def test_everything_happened():
    kinds = sum((run(seed)[1] for seed in SEEDS), Counter())
    assert kinds.keys() >= HAPPENINGS, HAPPENINGS - kinds.keys()


def test_a_seed_is_one_run():
    heads = []
    for _ in range(2):
        simulation = Simulation(Setting.of(3, 80))
        simulation.run()
        heads.append((simulation.steps, simulation.wall, simulation.store.heads()))
    assert heads[0] == heads[1]


def test_many_seeds_are_run_from_a_line(monkeypatch):
    asked = []
    monkeypatch.setattr(simulator.Simulation, "run", lambda self: asked.append(self.setting))
    monkeypatch.setattr("sys.argv", ["simulator", "--seed", "7", "--seeds", "3", "--steps", "40"])
    simulator.main()
    assert asked == [Setting.of(seed, 40) for seed in (7, 8, 9)]


def test_what_breaks_names_its_seed(monkeypatch):
    monkeypatch.setattr(Simulation, "step", lambda self: 1 / 0)
    with pytest.raises(BrokenLawError, match=r"seed=11, .*step 0: ZeroDivisionError"):
        Simulation(Setting.of(11)).run()
