"""PostgreSQL against SQLite on the same work: a fleet's counting of records that are at hand, without a broker.

Every step is taken in both in turn, so that a busy machine is busy for both. Times of the wall have a server's own work in them;
those of the processor are this process's alone. Both databases sync every commit.
"""

from __future__ import annotations

import gc
import os
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import bench_world as world
from bench_fleet_ground import CORES

from guardian.adapters.kafka.log import CONTENT_TYPE
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.schema import upgrade
from guardian.adapters.sql.store import SqlStore
from guardian.engine.activation import activate
from guardian.engine.fleet import Fleet
from guardian.engine.partition_reader import Pace
from guardian.engine.ports import Partition
from guardian.units import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench_fleet_ground import Ground

STEP: Final = 20_000
A_DAY: Final = 200_000
KINDS: Final = ("predictions", "labels", "mixed")
EVENTS: Final = Partition("bench.events", 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A record at hand."""

    offset: int
    value: bytes
    timestamp: int = world.START
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = CONTENT_TYPE


def race(ground: Ground, kind: str, steps: int) -> tuple[float, float, str]:
    """Return by how much PostgreSQL is as fast as SQLite, of the wall and of this process, and a sentence."""
    name = ground.name(kind)
    databases = Database.at(ground.home / f"{name}.db"), Database.at_url(ground.postgres.create_database(name))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[:1])
    try:
        runs = [_Run(database) for database in databases]
        offset = 0
        for number, events in enumerate(_events(kind, steps)):
            records = [Held(offset + i, event) for i, event in enumerate(events)]
            offset += len(events)
            for run in runs if number % 2 else runs[::-1]:
                run.step(records)
    finally:
        os.sched_setaffinity(0, before)
        for database in databases:
            database.close()
        ground.postgres.drop_database(name)
    (sqlite, sqlite_cpu), (server, server_cpu) = (run.medians(steps // 3) for run in runs)
    said = f"SQLite {STEP / sqlite / 1000:,.0f}, PostgreSQL {STEP / server / 1000:,.0f} thousand/s of the wall"
    return sqlite / server, sqlite_cpu / server_cpu, said


class _Run:
    def __init__(self, database: Database) -> None:
        upgrade(database)
        store, model = SqlStore(database), world.model_file()
        store.ensure_partitions(EVENTS.topic, 1)
        activate(store, EVENTS.topic, world.policy_set(model, {}), world.OneReference(world.reference(model)), world.START)
        pace = Pace(STEP, 60_000)
        self._fleet = Fleet(
            store, "bench", pace=pace, tick_every_ms=HOUR_MS, placement_of=lambda _: None, now=lambda: world.START
        )
        self._fleet.assigned({EVENTS: (0, 1 << 40)})
        self._wall: list[float] = []
        self._cpu: list[float] = []

    def step(self, records: Sequence[Held]) -> None:
        gc.collect()
        wall, cpu, counted = time.perf_counter(), time.process_time(), self._fleet.counted
        self._fleet.deliver(EVENTS, records)
        self._fleet.work()
        self._wall.append(time.perf_counter() - wall)
        self._cpu.append(time.process_time() - cpu)
        if self._fleet.counted - counted != len(records):
            raise SystemExit(f"a step counted {self._fleet.counted - counted} of {len(records)} records")

    def medians(self, warm: int) -> tuple[float, float]:
        return median(self._wall[warm:]), median(self._cpu[warm:])


def _events(kind: str, steps: int) -> Iterator[list[bytes]]:
    """Yield the events of each step; its first third warms up, and holds the predictions of what are labels after it."""
    warm, half = steps // 3, STEP // 2
    for i in range(steps):
        if kind == "labels" and i >= warm:
            again, turn = (i - warm) % warm, (i - warm) // warm
            yield world.labels(again * STEP, STEP, a_day=A_DAY, delay_ms=HOUR_MS + turn)
        elif kind == "mixed":
            fresh = world.predictions(i * half, half, a_day=A_DAY)
            told = world.labels(max(i - 1, 0) * half, half, a_day=A_DAY, delay_ms=HOUR_MS)
            yield [event for pair in zip(fresh, told, strict=True) for event in pair]
        else:
            yield world.predictions(i * STEP, STEP, a_day=A_DAY)
