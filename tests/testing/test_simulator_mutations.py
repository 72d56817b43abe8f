"""Every guard of the engine is there for a reason that the simulator knows: take one away, and some law breaks.

Each guard has a few seeds, of which one at least must notice. Where a change of the engine makes others notice, choose anew:
what is to be kept is that they are few. The same runs pass while nothing is taken away: most are among test_simulator's.
"""

from dataclasses import replace

import pytest

from guardian.adapters.memory import transaction as memory
from guardian.engine import partition_reader
from guardian.engine.continuity import Admission, Answer, admit
from guardian.engine.relay import Relay
from guardian.testing.invariants import BrokenLawError
from guardian.testing.simulator import Setting, Simulation

advance = memory.MemoryTransaction.advance
DECIDING = {"decide": 1_500, "recreate": 0, "change": 0, "storm": 0.0}


def advance_without(*names):
    """Return a compare-and-swap that does not compare these."""

    def compared_less(self, claim, next_offset, tail):
        held = self._tables.standings.get(claim.partition)
        if held is None:
            return False
        return advance(self, replace(claim, **{name: getattr(held.claim, name) for name in names}), next_offset, tail)

    return compared_less


def advance_any_judge(self, claim, next_offset, tail):
    blind = advance_without("epoch", "next_offset", "catalog")
    return (blind if claim.partition.topic.startswith("judge/") else advance)(self, claim, next_offset, tail)


def take_everything(_expected, records, _reread):
    return Admission(Answer.TAKE, 0, len(records))


def believe_every_hole(expected, records, reread):
    found = admit(expected, records, reread)
    return admit(expected, records, found.hole) if found.answer is Answer.REREAD else found


def prove_nothing(self, _records):
    self._proof = ""


def mark_first(self, stream, topic, parcels, last):
    if parcels:
        self._store.mark(stream, last, self._now())
        self._send(topic, parcels)
    return len(parcels)


def raise_nothing(self, partition):
    return self._tables.standings.get(partition, memory.unclaimed(partition)).claim.catalog


READER = partition_reader.PartitionReader
GUARDS = {
    "epoch": (memory.MemoryTransaction, "advance", advance_without("epoch"), (0, 4, 9, 12), {}),
    "next_offset": (memory.MemoryTransaction, "advance", advance_without("next_offset"), (5, 7, 9, 12), DECIDING),
    "catalog": (memory.MemoryTransaction, "advance", advance_without("catalog"), (1, 15, 17, 19), {}),
    "continuity": (partition_reader, "admit", take_everything, (0, 1, 2), {}),
    "confirmed hole": (partition_reader, "admit", believe_every_hole, (0, 1, 2), {}),
    "judge's seat": (memory.MemoryTransaction, "advance", advance_any_judge, (4, 2, 5, 7), {}),
    "tail": (READER, "_prove", prove_nothing, (2, 1, 4, 8), {}),
    "halting": (READER, "_halt", lambda self, _why: prove_nothing(self, ()), (2, 1, 4, 8), {}),
    "halted, kept": (partition_reader, "halt", lambda *_: None, (2, 1), {}),
    "mark after the acknowledgement": (Relay, "_leave", mark_first, (10, 9, 11, 12), {}),
    "raised catalog": (memory.MemoryTransaction, "raise_catalog", raise_nothing, (1, 15, 17, 19), {}),
}


def simulate(seed: int, changes: dict) -> None:
    Simulation(replace(Setting.of(seed), **changes)).run()


@pytest.mark.slow
@pytest.mark.parametrize("guard", GUARDS)
def test_a_missing_guard_is_noticed(guard, monkeypatch):
    where, name, without, seeds, changes = GUARDS[guard]
    monkeypatch.setattr(where, name, without)
    for seed in seeds:
        try:
            simulate(seed, changes)
        except BrokenLawError:
            return
    pytest.fail(f"without {guard}, the seeds {seeds} pass")


@pytest.mark.slow
@pytest.mark.parametrize("guard", GUARDS)
def test_the_same_runs_pass_with_every_guard(guard):
    _, _, _, seeds, changes = GUARDS[guard]
    simulate(seeds[0], changes)
