"""PostgreSQL against SQLite on the same work, side by side: `python tools/bench_databases.py`.

Every batch is counted and landed in both, in turn, so that a busy machine is busy for both. Times are of the wall, because a
server's own work is part of it. The server is the test suite's: on loopback, with every commit synced.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import bench_world as world
from services.postgres import Postgres

from guardian.adapters.memory.store import MemoryLog
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.schema import upgrade
from guardian.adapters.sql.store import SqlStore
from guardian.engine.engine import Engine
from guardian.engine.ports import Partition
from guardian.units import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A_DAY: Final = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description="PostgreSQL against SQLite on the same work.")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--batch", type=int, default=20_000, help="events landed together")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="guardian-bench-"))
    try:
        with Postgres() as server:
            for name, events in (("predictions", _predictions), ("labels", _labels)):
                files = Database.at(home / f"{name}.db"), Database.at_url(server.create_database(name))
                print(f"{name}: {_race(files, list(events(options.batches, options.batch)), options.batch)}")
    finally:
        shutil.rmtree(home)


def _race(databases: tuple[Database, Database], batches: list[list[bytes]], size: int) -> str:
    runs = [_Run(database) for database in databases]
    for number, events in enumerate(batches):
        for run in runs if number % 2 else runs[::-1]:
            run.step(events, size)
    for database in databases:
        database.close()
    (sqlite, sqlite_land), (postgresql, postgresql_land) = (run.medians() for run in runs)
    return (
        f"SQLite / PostgreSQL {sqlite / postgresql:.2f} of whole steps, {sqlite_land / postgresql_land:.2f} of landing alone "
        f"({size / sqlite / 1000:,.0f} and {size / postgresql / 1000:,.0f} thousand/s; "
        f"landing {sqlite_land * 1000:.0f} and {postgresql_land * 1000:.0f} ms)"
    )


class _Run:
    def __init__(self, database: Database) -> None:
        upgrade(database)
        self._log = MemoryLog()
        self._landed: list[float] = []
        self._whole: list[float] = []
        store = _Timed(SqlStore(database), self._landed.append)
        model = world.model_file()
        partition = Partition("bench", 0)
        self._engine = Engine(store, self._log, partition, "bench", now=lambda: world.START, group_table=lambda *_: [])
        self._engine.activate(world.policy_set(model, {}), world.OneReference(world.reference(model)))

    def step(self, events: list[bytes], size: int) -> None:
        self._log.append(events, world.START)
        gc.collect()
        start = time.perf_counter()
        self._engine.step(size)
        self._whole.append(time.perf_counter() - start)

    def medians(self) -> tuple[float, float]:
        warm = len(self._whole) // 4
        return median(self._whole[warm:]), median(self._landed[-len(self._whole) + warm :])


class _Timed:
    """A store that says how long each transaction took, from its opening to its commit."""

    def __init__(self, store: SqlStore, say: Callable[[float], Any]) -> None:
        self._store, self._say = store, say

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def begin(self) -> Any:
        return _TimedTransaction(self._store.begin(), self._say)


class _TimedTransaction:
    def __init__(self, inner: Any, say: Callable[[float], Any]) -> None:
        self._inner, self._say = inner, say

    def __enter__(self) -> Any:
        self._start = time.perf_counter()
        return self._inner.__enter__()

    def __exit__(self, *raised: Any) -> Any:
        ended = self._inner.__exit__(*raised)
        self._say(time.perf_counter() - self._start)
        return ended


def _predictions(batches: int, size: int) -> Iterator[list[bytes]]:
    for i in range(batches):
        yield world.predictions(i * size, size, a_day=A_DAY)


def _labels(batches: int, size: int) -> Iterator[list[bytes]]:
    # The first quarter are the predictions: steps that warm up, and are not counted.
    many = batches // 4
    for i in range(many):
        yield world.predictions(i * size, size, a_day=A_DAY)
    for i in range(batches - many):
        yield world.labels((i % max(many, 1)) * size, size, a_day=A_DAY, delay_ms=HOUR_MS + i)


if __name__ == "__main__":
    main()
