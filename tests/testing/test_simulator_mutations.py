"""Every guard of the engine is there for a reason that the simulator knows: take one away, and some law breaks.

The same runs pass while nothing is taken away. Each guard has a setting in which it is needed often.
"""

from dataclasses import replace

import pytest

from guardian.adapters.memory import transaction as memory
from guardian.engine import partition_reader
from guardian.engine.continuity import Admission, Answer, admit
from guardian.engine.relay import Relay
from guardian.testing.invariants import BrokenLawError
from guardian.testing.simulated_setting import Setting
from guardian.testing.simulator import Simulation

advance = memory.MemoryTransaction.advance
DECIDING = {"decide": 1_500, "recreate": 0, "change": 0, "storm": 0.0}
CHANGING = {"change": 500, "recreate": 0, "storm": 0.0, "still": 4.0}
STANDING_STILL = {"still": 6.0, "recreate": 0, "change": 0, "storm": 0.0}
REPLACED = {"recreate": 150}


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
SEEDS = range(12)  # One of them at least must notice: most notice most.
GUARDS = {
    "epoch": (memory.MemoryTransaction, "advance", advance_without("epoch"), STANDING_STILL),
    "next_offset": (memory.MemoryTransaction, "advance", advance_without("next_offset"), DECIDING),
    "catalog": (memory.MemoryTransaction, "advance", advance_without("catalog"), CHANGING),
    "raised catalog": (memory.MemoryTransaction, "raise_catalog", raise_nothing, CHANGING),
    "judge's seat": (memory.MemoryTransaction, "advance", advance_any_judge, STANDING_STILL),
    "continuity": (partition_reader, "admit", take_everything, {}),
    "confirmed hole": (partition_reader, "admit", believe_every_hole, {}),
    "tail": (READER, "_prove", prove_nothing, REPLACED),
    "halting": (READER, "_halt", lambda self, _why: prove_nothing(self, ()), REPLACED),
    "halted, kept": (partition_reader, "halt", lambda *_: None, REPLACED),
    "mark after the acknowledgement": (Relay, "_leave", mark_first, {"storm": 2.0}),
}


def simulate(seed: int, changes: dict) -> None:
    Simulation(replace(Setting.of(seed), **changes)).run()


@pytest.mark.slow
@pytest.mark.parametrize("guard", GUARDS)
def test_a_missing_guard_is_noticed(guard, monkeypatch):
    where, name, without, changes = GUARDS[guard]
    monkeypatch.setattr(where, name, without)
    for seed in SEEDS:
        try:
            simulate(seed, changes)
        except BrokenLawError:
            return
    pytest.fail(f"without {guard}, every seed passes")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS[:3])
@pytest.mark.parametrize("changes", [DECIDING, CHANGING, STANDING_STILL, REPLACED], ids=lambda changes: "-".join(changes))
def test_the_same_runs_pass_with_every_guard(seed, changes):
    simulate(seed, changes)
