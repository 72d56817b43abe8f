"""The fleet's numbers to hold, measured here and now: `make bench-fleet`.

Starts a broker and a PostgreSQL of its own. Workers are real processes of `guardian worker`, each kept to one core; broker,
database and loader have the other. Ratios have both sides in one run, taken in turn. Rates are of the wall, from a worker's first
commit to its last; processor time is beside them, because a busy machine shows little in it. Linux only.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import bench_fleet_delay as delay
import bench_fleet_events as events
import bench_fleet_stores as stores
import bench_world as world
import numpy as np
from bench_fleet_ground import CORES, PARTITIONS, Ground, Took, fill, pin, resident_of
from services.postgres import MISSING as NO_POSTGRES
from services.postgres import find_binaries
from services.process import LAUNCHER

from guardian.catalog.model_file import ModelFile
from services.kafka import MISSING as NO_KAFKA
from services.kafka import is_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardian.adapters.kafka.connection import Broker

Row = tuple[str, str, str]
"""What, its goal, and what was measured."""

RIVALS: Final = Path(__file__).with_name("bench_fleet_rivals.py")
RIVAL_S: Final = 120.0
A_DAY: Final = 200_000
TAIL: Final = PARTITIONS * 20_000  # Records that are left out at the end of a race: the last batches wait to be filled.
FORGETFUL: Final = 50_000  # Predictions a day where rows of the ledger are to expire soon.
WAKEFUL: Final = {"BATCH_WAIT": "100ms", "JUDGE_EVERY": "100ms"}


@dataclass(frozen=True)
class Bench:
    """What sections work with."""

    quick: bool
    ground: Ground
    said: dict[str, str] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def thousand(rate: float) -> str:
    return f"{rate / 1000:,.0f} thousand/s"


def rival(bench: Bench, kind: str, broker: Broker, until: int) -> Took:
    """Run one of the rivals on the worker's core."""
    launch = [sys.executable, str(LAUNCHER), str(int(signal.SIGKILL)), ""]
    words = [*launch, sys.executable, str(RIVALS), kind, broker.bootstrap, broker.prefix, bench.ground.name(kind), str(until)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        pin(process.pid, CORES[:1])
        try:
            out, err = process.communicate(timeout=RIVAL_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode or not out:
        raise SystemExit(f"{kind} ended with {process.returncode}:\n{err[-3_000:]}")
    n, wall, cpu = out.split()
    return Took(int(n), float(wall), float(cpu))


def race(bench: Bench, broker: Broker, until: int, cores: list[int] = CORES[:1], *, warm: bool = True) -> Took:
    with bench.ground.fleet(broker, world.model_file(), cores) as running:
        return running.race(until, warm=warm)


def singles(bench: Bench) -> Iterator[Row]:
    """One worker, single JSON events; the same beside poison; two workers."""
    count, runs = bench.size(600_000, 200_000), bench.size(3, 1)
    with bench.ground.topics("json") as (broker, producer):
        fill(producer, broker.events, events.singles(count, PARTITIONS, a_day=A_DAY))
        yield _against_nothing(bench, broker, count - TAIL, runs)
        yield _against_poison(bench, broker, bench.size(count // 2, count), bench.size(2, 1))
        yield _against_two(bench, broker, count - TAIL, bench.size(2, 1))


def _against_nothing(bench: Bench, broker: Broker, count: int, runs: int) -> Row:
    idle, own = [], []
    for _ in range(runs):
        idle.append(rival(bench, "batches", broker, count))
        own.append(race(bench, broker, count))
    plain = rival(bench, "agent", broker, bench.size(60_000, 10_000))
    ratio = median(mine.rate / none.rate for mine, none in zip(own, idle, strict=True))
    used = median(none.cpu_us / mine.cpu_us for mine, none in zip(own, idle, strict=True))
    mine, none = median(took.rate for took in own), median(took.rate for took in idle)
    said = (
        f"{ratio:.2f}, of processor time {used:.2f} ({thousand(mine)}, {median(took.cpu_us for took in own):.1f} us of the core "
        f"each; the consumer alone {thousand(none)}; a plain Faust agent doing nothing {plain.rate / 1000:,.1f} thousand/s)"
    )
    return ("one worker through Kafka, single JSON events, join on / the same consumer doing nothing", ">= 0.4", said)


def _against_poison(bench: Bench, broker: Broker, count: int, runs: int) -> Row:
    with bench.ground.topics("poison") as (poisoned, producer):
        fill(producer, poisoned.events, events.singles(count, PARTITIONS, a_day=A_DAY, poison=0.1))
        pairs = [(race(bench, poisoned, count - TAIL), race(bench, broker, count - TAIL)) for _ in range(runs)]
    ratio = median(bad.rate / good.rate for bad, good in pairs)
    used = median(good.cpu_us / bad.cpu_us for bad, good in pairs)
    said = f"{ratio:.2f}, of processor time {used:.2f} ({thousand(median(bad.rate for bad, _ in pairs))})"
    return ("10 % poison / clean input, one worker", ">= 0.85", said)


def _against_two(bench: Bench, broker: Broker, count: int, runs: int) -> Row:
    if len(CORES) < 2:
        return ("two workers / one", "", "this machine has one core")
    bench.ground.spread(whole=True)
    try:
        pairs = [(race(bench, broker, count, CORES[:2]), race(bench, broker, count)) for _ in range(runs)]
    finally:
        bench.ground.spread(whole=False)
    ratio = median(two.rate / one.rate for two, one in pairs)
    said = f"{ratio:.2f} ({thousand(median(two.rate for two, _ in pairs))}, {thousand(median(one.rate for _, one in pairs))})"
    what = "two workers on two cores / one, broker and database on both cores"
    return (what, "", said)


def tables(bench: Bench) -> Iterator[Row]:
    """One worker, Arrow records; and its memory over many of them."""
    count = bench.size(5_000_000, 1_200_000)
    with bench.ground.topics("arrow") as (broker, producer):
        records = fill(producer, broker.events, events.tables(count, PARTITIONS, a_day=FORGETFUL))
        each = count / records
        took = [race(bench, broker, records // 2, warm=False) for _ in range(bench.size(2, 1))]
        rate, used = median(one.rate for one in took) * each, median(one.cpu_us for one in took) / each
        said = f"{thousand(rate)} of the wall, {thousand(1e6 / used)} of processor time"
        yield ("one worker through Kafka, Arrow records of 5 thousand rows, join on", ">= 500 thousand rows/s", said)
        yield _memory(bench, broker, records, each)


def _memory(bench: Bench, broker: Broker, records: int, each: float) -> Row:
    model = world.model_file()
    short = model.to_json()
    short["spec"]["labels"] = {"horizon": "1d"}
    samples: list[tuple[float, float]] = []
    with bench.ground.fleet(broker, ModelFile.model_validate(short)) as running:
        (worker,) = running.workers
        running.race(records, lambda counted: samples.append((counted * each / 1e6, resident_of(worker.pid) / 1e6)), warm=False)
    counted, held = np.array(samples).T
    late = counted >= counted[-1] * 0.2
    slope = float(np.polyfit(counted[late], held[late], 1)[0])
    said = (
        f"{slope:+.1f} MB a million events (resident {held[late].min():.0f} to {held[late].max():.0f} MB over the last "
        f"{counted[-1] - counted[late][0]:.1f} million)"
    )
    if bench.quick:
        said += "; too few to have settled: buffers still fill"
    what = f"memory of a worker over {counted[-1]:.0f} million events, label horizon of one day so that the ledger's rows expire"
    return (what, "flat", said)


def databases(bench: Bench) -> Iterator[Row]:
    for kind in stores.KINDS:
        wall, cpu, said = stores.race(bench.ground, kind, bench.size(9, 4))
        measured = f"{wall:.2f}, of the worker's processor time {cpu:.2f} ({said})"
        yield (f"PostgreSQL / SQLite, the same counting without a broker, {kind} in steps of 20 thousand", ">= 0.8", measured)


def delays(bench: Bench) -> Iterator[Row]:
    for settings, name in (({}, "settings as they come"), (WAKEFUL, "batch_wait and judge_every of 100 ms")):
        seconds, alerts = delay.delays(bench.ground, bench.size(150, 24), settings)
        middle, most = np.quantile(seconds, [0.5, 0.99])
        said = f"p50 {middle:.2f} s, p99 {most:.2f} s ({len(seconds)} instants, {alerts} alerts, {len(delay.MODELS)} models)"
        yield (f"watermark passed (acknowledged by the broker) to verdict and alert in the database, {name}", "p99 < 1 s", said)


SECTIONS: Final[dict[str, Callable[[Bench], Iterator[Row]]]] = {
    "json": singles,
    "arrow": tables,
    "databases": databases,
    "delay": delays,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: a look, not a measurement")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="these sections alone; may be repeated")
    asked = parser.parse_args()
    if missing := [said for said, there in ((NO_KAFKA, is_installed()), (NO_POSTGRES, find_binaries())) if not there]:
        print("the fleet is not measured: " + "; ".join(missing))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that everything is taken down.
    print(f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| | goal | measured |\n|---|---|---|", flush=True)
    with Ground() as ground:
        for name in asked.only or SECTIONS:
            for row in SECTIONS[name](Bench(asked.quick, ground)):
                print("| {} | {} | {} |".format(*row), flush=True)


if __name__ == "__main__":
    main()
