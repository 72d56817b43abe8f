"""Where the benchmarks of a fleet run: a broker, a database and workers of their own, each kept to its core. Linux only.

Workers have the first core that this process may use, or one each; broker, database and whoever fills topics share the last one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bench_world as world
from services.postgres import Postgres
from services.process import LAUNCHER, STARTER, children_of

from guardian.adapters.kafka import admin
from guardian.adapters.kafka.connection import Broker
from guardian.adapters.kafka.producer import Outgoing, Producer
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.schema import upgrade
from guardian.adapters.sql.store import SqlStore
from guardian.engine.activation import activate
from services.kafka import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from guardian.catalog.model_file import ModelFile

PROGRAM: Final = (sys.executable, "-c", "from guardian.entrypoints.cli import main; raise SystemExit(main())")
PARTITIONS: Final = 4
CORES: Final = sorted(os.sched_getaffinity(0))
FOREVER: Final = {"retention.ms": "-1"}  # What is sent says that it is years old.
LOOK_S: Final = 0.01
START_S: Final = 120.0
RUN_S: Final = 300.0
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def pin(pid: int, cores: Iterable[int]) -> None:
    """Keep all threads of a process, and those of its children, to these cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # It has ended meanwhile.
            os.sched_setaffinity(int(task.name), cores)
    for child in children_of(pid):
        pin(child, cores)


def cpu_of(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_of(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * _PAGE


@dataclass(frozen=True)
class Took:
    """What a stretch of counting took.

    Attributes:
        events: Records counted in it.
        wall: Seconds.
        cpu: Processor seconds of the workers.
    """

    events: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.events / self.wall

    @property
    def cpu_us(self) -> float:
        """Processor microseconds a record."""
        return self.cpu / self.events * 1e6


class Ground:
    """Servers, topics, databases and workers: `with Ground() as ground: ...`. Nothing is left of it."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="guardian-bench-"))
        self._number = 0
        os.sched_setaffinity(0, CORES[-1:])  # Whatever is started inherits it.
        self.kafka, self.postgres = Kafka(heap_mb=768), Postgres()

    def __enter__(self) -> Self:
        self.kafka.start()
        self.postgres.start()
        return self

    def __exit__(self, *_: object) -> None:
        for close in (self.kafka.close, self.postgres.close, lambda: shutil.rmtree(self.home)):
            with suppress(Exception):
                close()
        os.sched_setaffinity(0, CORES)

    def spread(self, *, whole: bool) -> None:
        """Let the servers have every core, or the last one again."""
        for pid in (self.kafka.pid, self.postgres.pid):
            pin(pid, CORES if whole else CORES[-1:])

    def name(self, stem: str) -> str:
        """Return a name that nothing else here has."""
        self._number += 1
        return f"{stem}-{self._number}"

    def broker(self, prefix: str, group: str = "") -> Broker:
        return Broker(self.kafka.bootstrap, group=group or self.name("group"), prefix=prefix)

    @contextmanager
    def topics(self, stem: str, partitions: int = PARTITIONS) -> Iterator[tuple[Broker, Producer]]:
        """Make the topics that counting reads; delete them in the end."""
        broker = self.broker(self.name(stem))
        names = [broker.events, broker.results]
        admin.create_topics(broker, [admin.NewTopicSpec(name, partitions, 1, FOREVER) for name in names])
        producer = Producer(broker)
        try:
            yield broker, producer
        finally:
            producer.close()
            admin.delete_topics(broker, names)

    @contextmanager
    def fleet(self, broker: Broker, model: ModelFile, cores: Iterable[int] = CORES[:1]) -> Iterator[Running]:
        """Start a worker on each core, with a database of their own, and wait until they have dealt out the partitions.

        They count nothing before `Running.begin`, as no model is watched before it.
        """
        name = self.name("run")
        url = self.postgres.create_database(name)
        cores = list(cores)
        database = Database.at_url(url)
        upgrade(database)
        variables = {"DATABASE": url, "BROKER": broker.bootstrap, "TOPIC_PREFIX": broker.prefix, "GROUP": name}
        (home := self.home / name).mkdir()
        workers = [Worker(home, f"{core}", ("--role", "count"), variables, core) for core in cores]
        try:
            running = Running(SqlStore(database), broker.events, model, workers)
            running.wait(lambda: running.is_settled(PARTITIONS // len(cores)), "the group to settle", START_S)
            yield running
            for worker in workers:
                worker.stop()
        finally:
            for worker in workers:
                worker.kill()
            database.close()
            self.postgres.drop_database(name)


class Worker:
    """A process of guardian, on one core."""

    def __init__(self, home: Path, name: str, words: tuple[str, ...], settings: Mapping[str, str], core: int) -> None:
        own = {key: value for key, value in os.environ.items() if not key.startswith("GUARDIAN_")}
        self.log = home / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = STARTER.submit(
                subprocess.Popen,
                [PROGRAM[0], str(LAUNCHER), str(int(signal.SIGKILL)), "", *PROGRAM, "--home", str(home), "worker", *words],
                env={**own, **{f"GUARDIAN_{key}": value for key, value in settings.items()}},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            ).result()
        pin(self.pid, [core])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def check(self) -> None:
        if self.process.poll() is not None:
            raise SystemExit(f"a worker ended with {self.process.returncode}:\n{self.said[-3_000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Running:
    """Workers that run, and the database where what they do can be seen."""

    store: SqlStore
    topic: str
    model: ModelFile
    workers: list[Worker]

    def begin(self) -> None:
        """Have the model watched."""
        activate(self.store, self.topic, world.policy_set(self.model, {}), world.OneReference(world.reference(self.model)), 1)

    def counted(self) -> int:
        return sum(standing.claim.next_offset for standing in self.store.standings(self.topic))

    def is_settled(self, each: int) -> bool:
        """Whether every worker has as many partitions."""
        lines = [[line for line in worker.said.splitlines() if "partitions" in line] for worker in self.workers]
        return all(found and found[-1].count(",") == each - 1 and "none" not in found[-1] for found in lines)

    def race(self, until: int, watch: Callable[[int], Any] = lambda _counted: None, *, warm: bool = True) -> Took:
        """Have `until` records counted; with `warm` it starts with the first commit, else when the model is watched.

        `watch` is told, now and then, how many are counted.
        """
        self.begin()
        if warm:
            self.wait(self.counted, "the first commit", START_S)
        first, start, used = self.counted(), time.perf_counter(), self._cpu()

        def is_done() -> bool:
            watch(now := self.counted())
            return now >= until

        self.wait(is_done, f"{until:,} records", RUN_S)
        return Took(self.counted() - first, time.perf_counter() - start, self._cpu() - used)

    def wait(self, ready: Callable[[], Any], what: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not ready():
            for worker in self.workers:
                worker.check()
            if time.monotonic() > end:
                raise SystemExit(f"waited {seconds:.0f} s for {what}:\n{self.workers[0].said[-3_000:]}")
            time.sleep(LOOK_S)

    def _cpu(self) -> float:
        return sum(cpu_of(worker.pid) for worker in self.workers)


def fill(producer: Producer, topic: str, records: Iterable[list[Outgoing]]) -> int:
    """Send records list by list; return how many there are."""
    return sum(len(producer.send(topic, some)) for some in records)
