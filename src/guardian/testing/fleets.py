"""A small fleet in memory: a log of some partitions, one who counts and one who judges, driven by hand on virtual time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from guardian.adapters.kafka.log import key_of
from guardian.adapters.memory.store import MemoryStore
from guardian.audit.chain import parse_record
from guardian.engine.ending import finalise
from guardian.engine.fates import FencedError
from guardian.engine.fleet import Fleet
from guardian.engine.governor import Governor, Rules
from guardian.engine.partition_reader import Pace
from guardian.engine.ports import Partition
from guardian.events.placement import Placement, partitions_of
from guardian.testing.simulated_log import SimulatedLog
from guardian.testing.simulated_processes import CountingProcess, Mischief
from guardian.testing.stories import START, References, Said, files, outcome_of
from guardian.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardian.policies.load import PolicySet
    from guardian.testing.stories import Outcome

TOPIC: Final = "g.events"
NEVER_MS: Final = 1 << 50
ROUNDS_MAX: Final = 10_000


@dataclass
class FleetWorld:
    """One store, one log, and who works on it.

    Attributes:
        partitions: Of the log.
        batch: Records of a step.
        tick_every_ms: How often live clocks are looked at.
        files: What is to hold; the governor looks at each turn.
        references: The reference tables.
        store: What survives a crash.
        wall: The wall clock, UTC milliseconds; a test sets it.
    """

    partitions: int = 3
    batch: int = 50
    tick_every_ms: int = NEVER_MS
    files: Callable[[], PolicySet] = files
    references: References = field(default_factory=References)
    store: Any = field(default_factory=MemoryStore)
    wall: int = START + 60 * DAY_MS

    def __post_init__(self) -> None:
        self.log = [Partition(TOPIC, number) for number in range(self.partitions)]
        self.logs = {partition: SimulatedLog() for partition in self.log}
        self.store.ensure_partitions(TOPIC, self.partitions)
        self.said: list[str] = []
        self.worker = self.new_worker("worker-1")
        self.governor = self.new_governor("judge-1")

    def new_worker(self, name: str, store: Any = None) -> CountingProcess:
        """Return somebody who counts everything, through a client that does no mischief."""
        fleet = Fleet(
            self.store if store is None else store,
            name,
            pace=Pace(self.batch, 0),
            tick_every_ms=self.tick_every_ms,
            placement_of=lambda number: Placement("murmur2", self.partitions, number),
            now=lambda: self.wall,
        )
        harmless = Mischief()
        harmless.cease()
        worker = CountingProcess(name, fleet, self.logs, random.Random(0), harmless)  # noqa: S311 - to be repeated
        worker.assign(frozenset(self.log))
        return worker

    def new_governor(self, name: str, store: Any = None) -> Governor:
        """Return somebody who judges, and makes `files` hold."""
        rules = Rules(
            files=lambda: self.files(),
            references=self.references,
            group_table=lambda *_: [],
            checkpoint=lambda: "",
            files_every_ms=0,
            checkpoint_every_ms=NEVER_MS,
            now=lambda: self.wall,
            say=self.said.append,
        )
        return Governor(self.store if store is None else store, TOPIC, name, rules)

    def partition_of(self, event: bytes) -> Partition:
        """Return where an event belongs."""
        return self.log[int(partitions_of("murmur2", [key_of(event) or b""], self.partitions)[0])]

    def tell(self, events: Sequence[Said | bytes]) -> FleetWorld:
        """Put events where they belong, received now."""
        for said in events:
            event = said.event if isinstance(said, Said) else said
            self.logs[self.partition_of(event)].append(key_of(event), event, self.wall, number=0)
        return self

    def count(self) -> FleetWorld:
        """Let the worker count until it has counted all that it may read."""
        for _ in range(ROUNDS_MAX):
            before = [standing.claim for standing in self.store.standings(TOPIC)]
            self.worker.turn()
            self.worker.turn()
            if before == [standing.claim for standing in self.store.standings(TOPIC)]:
                return self
        raise AssertionError("counting does not end")

    def judge(self) -> FleetWorld:
        """Let the governor judge until nothing is due; fenced, it sits down again, as a worker's does."""
        did = True
        while did:
            try:
                did = self.governor.turn()
            except FencedError:
                did = True
        return self

    def end(self) -> FleetWorld:
        """Write the end tick, and judge what it makes due."""
        ends = {partition.number: log.readable_end for partition, log in self.logs.items()}
        assert finalise(self.store, TOPIC, ends, self.wall)
        self.worker.turn()
        return self.judge()

    def run(self, events: Sequence[Said | bytes]) -> Outcome:
        """Make the files hold, take events in, count, judge and end."""
        self.judge().tell(events).count().judge().end()
        return self.outcome()

    def outcome(self) -> Outcome:
        """Return what the store holds."""
        return outcome_of(self.store.tables)

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """Return the bodies of all records of a kind, by stream and sequence."""
        return [dict(parse_record(row.body_bytes)["body"]) for row in self.store.rows() if row.kind == kind]
