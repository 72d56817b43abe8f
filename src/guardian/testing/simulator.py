"""A fleet in one thread, on virtual time, to which everything happens: from one seed, the same run each time.

A story is produced into a log of several partitions, with ends of transactions, aborted ones, poison and retention. Workers count
it through a client that delivers anything, judges judge it, relays send what leaves; all of them over a database that fails. They
are killed, stand still in the middle of a call while others take over, believe in partitions that are others' by now, and have
clocks that differ. Files change, people decide, a topic is made again. After each step every law is checked (`invariants`); then
the faults end, everything has to drain, and the outcome has to be that of an undisturbed run (`simulated_ending`).

`python -m guardian.testing.simulator --seed 7 --steps 400` is one run; with `--seeds 1000` it is the first of many.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from guardian.adapters.memory.store import MemoryStore
from guardian.decisions.retraining import WrongStateError
from guardian.engine.decide import Decision, decide
from guardian.engine.ending import finalise
from guardian.engine.fates import FencedError, StoreBusyError
from guardian.engine.fleet import Fleet
from guardian.engine.governor import Rules
from guardian.engine.halt import HALTED, resume
from guardian.engine.judging import seat_of
from guardian.engine.partition_reader import Pace
from guardian.engine.ports import Partition
from guardian.errors import NotFoundError
from guardian.testing.invariants import OPERATOR, BrokenLawError, Laws, demand
from guardian.testing.simulated_ending import compare_with_embedded, compare_with_refold, is_embeddable
from guardian.testing.simulated_log import SimulatedLog
from guardian.testing.simulated_processes import CountingProcess, JudgingProcess, Mischief, RelayingProcess
from guardian.testing.simulated_setting import Setting
from guardian.testing.simulated_store import Connection, Crash, Trouble
from guardian.testing.simulated_story import Producer, Rulebook
from guardian.testing.stories import START
from guardian.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC: Final = "g.events"
STILL_MAX: Final = 2  # Processes that stand still at once.
STILL_STEPS: Final = 12  # So much happens meanwhile, at most.
SLOW_STEPS: Final = 40  # And so much while a person makes up his mind.
ROUNDS_MAX: Final = 100  # Seconds within which everything drains once the faults are over.
SETTLED: Final = 8  # Rounds in a row, of a second each, in which nothing was left to do: readers look again after five.
FILES_EVERY_MS: Final = 2_000
NEVER_MS: Final = 1 << 50
ACTIONS: Final = {"requested": ("approve", "reject"), "approved": ("start", "complete"), "running": ("complete", "fail")}


class Simulation:
    """One run. Call `run`."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.rng = setting, random.Random(setting.seed)  # noqa: S311 - to be repeated, not to be secret
        self.wall = START if setting.live else START + 60 * DAY_MS
        self.steps = 0
        self.partitions = [Partition(TOPIC, number) for number in range(self.rng.randint(1, 4))]
        self.logs = {partition: SimulatedLog() for partition in self.partitions}
        self.producer = Producer(list(self.logs.values()), self.rng)
        self.rulebook = Rulebook.of(live=setting.live)
        self.store = MemoryStore()
        self.store.ensure_partitions(TOPIC, len(self.partitions))
        self.laws = Laws(self.store, self.logs, self.producer.plain, exact=not setting.live)
        storm, still = setting.storm, setting.still
        self.trouble = Trouble(
            self.rng, lambda: self.wall, self._pass_time, busy=0.006 * storm, crash=0.002 * storm, pause=0.004 * still
        )
        self.mischief = Mischief()
        self._people = Connection(
            self.store, OPERATOR, replace(self.trouble, crash=0.0, pause=0.7, only_before="begin"), self.laws
        )
        self._still: list[str] = []
        self._killed: set[str] = set()
        self._begin_processes()

    # Processes

    def _begin_processes(self) -> None:
        self._makers: dict[str, Callable[[str], Any]] = {
            **{f"worker-{i}": self._make_worker for i in range(self.setting.workers)},
            **{f"judge-{i}": self._make_judge for i in range(self.setting.judges)},
            **{f"relay-{i}": self._make_relay for i in range(self.setting.relays)},
        }
        self._skews = {name: self.rng.randint(-2_000, 2_000) for name in self._makers}
        self._alive: dict[str, Any] = {}
        self._incarnations = 0
        self._shares: dict[str, frozenset[Partition]] = {}
        self._untold: set[str] = set()
        for name in self._makers:
            self._start(name)
        self._rebalance()

    def _start(self, name: str) -> None:
        self._incarnations += 1
        self._alive[name] = self._makers[name](f"{name}.{self._incarnations}")

    def _connect(self, name: str) -> Connection:
        return Connection(self.store, name, self.trouble, self.laws)

    def _clock(self, name: str) -> Callable[[], int]:
        skew = self._skews[name.partition(".")[0]]
        return lambda: self.wall + skew

    def _make_worker(self, name: str) -> CountingProcess:
        fleet = Fleet(
            self._connect(name),
            name,
            pace=Pace(self.rng.choice((2, 7, 40)), self.rng.choice((0, 500))),
            tick_every_ms=1_000 if self.setting.live else NEVER_MS,
            placement_of=self.producer.placement_of,
            now=self._clock(name),
        )
        return CountingProcess(name, fleet, self.logs, self.rng, self.mischief)

    def _make_judge(self, name: str) -> JudgingProcess:
        rules = Rules(
            files=self.rulebook.files,
            references=self.rulebook.references,
            group_table=lambda *_: [],
            checkpoint=lambda: "",
            files_every_ms=FILES_EVERY_MS,
            checkpoint_every_ms=NEVER_MS,
            now=self._clock(name),
            say=lambda _line: None,
        )
        return JudgingProcess(name, self._connect(name), TOPIC, rules)

    def _make_relay(self, name: str) -> RelayingProcess:
        return RelayingProcess(name, self._connect(name), TOPIC, self.trouble, self.laws, self._clock(name))

    # What happens

    def step(self) -> None:
        """Let one thing happen, and check every law."""
        self.steps += 1
        self.wall += self.rng.choice((20, 200, 1_500))
        happenings = self._happenings()
        (happens,) = self.rng.choices(list(happenings), list(happenings.values()))
        happens()
        self.laws.check()

    def _happenings(self) -> dict[Callable[[], None], int]:
        """Return what may happen, and how likely it is."""
        return {
            self._turn: 6_000,
            self._produce: 1_400,
            self._tell: 300,
            self._revive: 200,
            self._rebalance: 150,
            self._decide: self.setting.decide,
            self._resume: 100,
            self._kill: 60,
            self._retain: 60,
            self._change_files: self.setting.change,
            self._recreate: self.setting.recreate,
            self._lose_database: 40,
        }

    def _turn(self) -> None:
        ready = [name for name in self._alive if name not in self._still]
        if ready:
            self._turn_of(self.rng.choice(ready))

    def _turn_of(self, name: str) -> None:
        try:
            self._alive[name].turn()
        except Crash:
            self._bury(name)
            if self.rng.random() < 0.5:
                self._revive()

    def _pass_time(self, process: str) -> None:
        """Let a process stand still, within whatever it is asking, while others go on."""
        name = process.partition(".")[0]
        if name in self._still or len(self._still) >= STILL_MAX:
            return
        self._still.append(name)
        if self.rng.random() < 0.4:
            self.wall += self.rng.randint(5_000, 20_000)
        for _ in range(self.rng.randint(1, SLOW_STEPS if name == OPERATOR else STILL_STEPS)):
            self.step()
        self._still.remove(name)
        if name in self._killed:
            self._killed.remove(name)
            raise Crash(process)

    def _produce(self) -> None:
        self.producer.produce(self.rng.randint(1, 12), self.wall)
        if self.setting.live:
            self.wall = max(self.wall, self.producer.told_at + 1)
        self.producer.litter(self.wall)

    def _kill(self) -> None:
        name = self.rng.choice(list(self._makers))
        if name in self._still:
            self._killed.add(name)
        else:
            self._bury(name)

    def _bury(self, name: str) -> None:
        """Drop a process with everything it holds; the group misses it."""
        self._alive.pop(name, None)
        self._shares.pop(name, None)
        self._untold.discard(name)

    def _revive(self) -> None:
        dead = [name for name in self._makers if name not in self._alive]
        if dead:
            self._start(self.rng.choice(dead))

    def _rebalance(self) -> None:
        """Let the group deal out the partitions anew; who is left out, or does not hear of it, believes what it did."""
        workers = [name for name in self._alive if isinstance(self._alive[name], CountingProcess)]
        members = self.rng.sample(workers, self.rng.randint(1, len(workers))) if workers else []
        dealt: dict[str, set[Partition]] = {name: set() for name in workers}
        for partition in self.partitions if members else ():
            dealt[self.rng.choice(members)].add(partition)
        self._shares = {name: frozenset(share) for name, share in dealt.items()}
        self._untold = set(self._shares)
        for name in sorted(self._untold):
            if self.rng.random() < 0.7:
                self._tell_to(name)

    def _tell(self) -> None:
        if self._untold:
            self._tell_to(self.rng.choice(sorted(self._untold)))

    def _tell_to(self, name: str) -> None:
        if name not in self._still:
            self._alive[name].assign(self._shares[name])
            self._untold.discard(name)

    def _tell_all(self) -> None:
        for name in sorted(self._untold):
            self._tell_to(name)

    def _retain(self) -> None:
        log = self.logs[self.rng.choice(self.partitions)]
        log.retain(log.now.earliest + self.rng.randint(1, 30))

    def _recreate(self) -> None:
        """Delete a partition's log and fill it anew. Whoever reads is told, as a client is by its broker."""
        if any(name.startswith("worker") for name in self._still):
            return
        partition = self.rng.choice(self.partitions)
        counted = self.store.position(partition).next_offset
        self.logs[partition].recreate()
        self.producer.fill(partition.number, max(0, counted + self.rng.randint(-10, 10)), self.wall)
        self._rebalance()
        self._tell_all()

    def _change_files(self) -> None:
        self.rulebook.change(self.rng)

    def _decide(self) -> None:
        """Let somebody do something with a request, while judges go on."""
        open_ = [row for row in self.store.requests() if row["state"] in ACTIONS]
        if not open_ or OPERATOR in self._still:
            return
        row = self.rng.choice(open_)
        decision = Decision(self.rng.choice(ACTIONS[row["state"]]), "ann", "", self.wall)  # type: ignore[arg-type]
        try:
            found = decide(self._people, seat_of(row["model"]), row["id"], decision)
        except (FencedError, StoreBusyError, WrongStateError, NotFoundError):
            return
        self.laws.saw_decision(found.id, found.state.value)

    def _resume(self) -> None:
        halted = [standing.claim.partition for standing in self.store.standings(TOPIC) if standing.status == HALTED]
        if not halted or OPERATOR in self._still:
            return
        try:
            resume(self._people, self.rng.choice(halted), "ann", "looked", self.wall)
        except (NotFoundError, StoreBusyError):
            return

    def _lose_database(self) -> None:
        self.trouble.away_until = self.wall + self.rng.randint(1_000, 15_000)

    # The end

    def run(self) -> Simulation:
        """Let it happen, drain it, end it, and compare. Raises BrokenLawError, with the seed."""
        try:
            while self.steps < self.setting.steps:
                self.step()
            self._calm()
            self._drain()
            self._end()
        except Exception as error:
            raise BrokenLawError(f"{self.setting}, step {self.steps}: {type(error).__name__}: {error}") from error
        return self

    def _calm(self) -> None:
        """End every fault, and start what is dead. Nobody is told again what it was told: that would wake who waits for ever."""
        self.trouble.busy = self.trouble.crash = self.trouble.pause = 0.0
        self.trouble.away_until = 0
        self.mischief.cease()
        for name in [name for name in self._makers if name not in self._alive]:
            self._start(name)
        if {partition for share in self._shares.values() for partition in share} != set(self.partitions):
            self._rebalance()
        self._tell_all()
        self.producer.finish(self.wall)

    def _drain(self) -> None:
        self._settle()
        self._check_identity()
        self.laws.check_all()
        for standing in self.store.standings(TOPIC):
            if standing.status == HALTED:
                self._mend(standing.claim.partition, standing.claim.next_offset)
        self._settle()

    def _mend(self, partition: Partition, counted: int) -> None:
        """Do what people do with a halted partition whose log was replaced: wait for it to grow, and resume."""
        self.producer.fill(partition.number, max(0, counted + 1 - self.logs[partition].readable_end), self.wall)
        resume(self.store, partition, "ann", "looked", self.wall)

    def _settle(self) -> None:
        """Let everybody take turns until nothing is left to do."""
        quiet = 0
        for _ in range(ROUNDS_MAX):
            self.wall += 1_000
            for name in list(self._alive):
                self._turn_of(name)
            self.laws.check()
            quiet = quiet + 1 if self._is_drained() else 0
            if quiet == SETTLED:
                return
        raise BrokenLawError(f"nothing drains: {self.store.standings(TOPIC)}, {[log.ends for log in self.logs.values()]}")

    def _is_drained(self) -> bool:
        counted = all(
            standing.status == HALTED or standing.claim.next_offset >= self.logs[standing.claim.partition].readable_end
            for standing in self.store.standings(TOPIC)
        )
        others = (process for process in self._alive.values() if not isinstance(process, CountingProcess))
        return counted and all(process.quiet for process in others)

    def _check_identity(self) -> None:
        """Whose log is another than was counted is halted, or its loss is told."""
        for standing in self.store.standings(TOPIC):
            partition = standing.claim.partition
            watched, life = self.laws.watched[partition], len(self.logs[partition].generations) - 1
            unread = self.logs[partition].readable_end < standing.claim.next_offset  # There is nothing yet to tell it by.
            same = watched.life == life or unread or self.laws.may_differ(partition, life, standing.claim.next_offset)
            demand(standing.status == HALTED or same, f"{partition} is of life {life}, and {watched.life} was counted")
            # At the last counted offset, which is asked for as a proof, there is something to wait for.
            short = standing.claim.next_offset - 1 > self.logs[partition].now.end
            demand(standing.status == HALTED or not short, f"{partition} ends before what is counted, and goes on")

    def _end(self) -> None:
        ends = {standing.claim.partition.number: standing.claim.next_offset for standing in self.store.standings(TOPIC)}
        demand(finalise(self.store, TOPIC, ends, self.wall), "not all is counted")
        self._settle()
        self.laws.check_all()
        self.laws.check_left()
        counted = {partition: self.laws.watched[partition].counted for partition in self.partitions}
        compare_with_refold(self.store.tables, counted, self.producer.placement_of, live=self.setting.live)
        replaced = any(len(log.generations) > 1 for log in self.logs.values())
        if is_embeddable(self.store.tables) and not replaced and not self.setting.live:
            compare_with_embedded(self.store.tables, counted, self.rulebook.files())


def main() -> None:
    """Run one seed, or many. Raises BrokenLawError at the first that fails."""
    parser = argparse.ArgumentParser(description="Simulate a fleet to which everything happens.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--steps", type=int, default=300)
    asked = parser.parse_args()
    for seed in range(asked.seed, asked.seed + asked.seeds):
        Simulation(Setting.of(seed, asked.steps)).run()


if __name__ == "__main__":
    main()
