"""The numbers to hold, measured here and now: `make bench`.

Ratios have both sides in one run, because machines differ. Times are of the processor (time.process_time), so that a busy machine
shows little, but for whole processes, whose times are of the wall. Medians of several runs. Nothing is tested, nothing leaves
a temporary directory.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import bench_world as world
import numpy as np

from guardian.adapters.sql.database import Database
from guardian.adapters.sql.inbox import SqlInbox
from guardian.adapters.sql.schema import upgrade
from guardian.adapters.sql.store import SqlStore
from guardian.audit.leaf import FIRST_PREV
from guardian.audit.record import seal
from guardian.audit.verify import verify
from guardian.engine.engine import Engine
from guardian.engine.ports import Partition
from guardian.events.codec import CHUNK_EVENTS
from guardian.events.parts import JsonPart
from guardian.events.shapes import shapes_of
from guardian.panes.ledger import fold
from guardian.panes.rows import Labels, Ledger
from guardian.panes.windows import window_of
from guardian.pipeline.coded import code_batch
from guardian.pipeline.count import count
from guardian.pipeline.epochs import ALWAYS, Epoch, Timeline
from guardian.pipeline.judge import Judge
from guardian.pipeline.measure import measure
from guardian.pipeline.memory import ModelMemory
from guardian.pipeline.state import ModelState
from guardian.policies.load import subjects_of
from guardian.units import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardian.effects import Effects

BATCH: Final = 20_000
A_DAY: Final = 200_000  # Predictions a day in the streams of events.
LIVE: Final = 6_000_000
DAYS: Final = 30
HORIZON_DAYS: Final = 60
JUDGED: Final = 7  # Windows whose judging is timed.
RUNS: Final = 7  # Of a whole process.

Row = tuple[str, str, str]
"""What, its goal, and what was measured."""


@dataclass(frozen=True)
class Options:
    """How much to run, and where."""

    quick: bool
    home: Path


def cpu(work: Callable[[], Any]) -> float:
    """Return the processor seconds of this process that `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rate(n: float, seconds: float) -> str:
    return f"{n / seconds / 1000:,.0f} thousand/s"


# Stage 1


def stage_1(options: Options) -> Iterator[Row]:
    """Single JSON predictions, from bytes in the inbox to a landed commit, against decoding the same bytes."""
    batches = 4 if options.quick else 12
    events = [world.predictions(i * BATCH, BATCH, a_day=A_DAY) for i in range(batches)]
    size = sum(map(len, events[0])) / BATCH
    decoding, reading, whole = _stage_1(options.home / "one.db", events)
    ratios = [a / b for a, b in zip(decoding[1:], whole[1:], strict=True)]  # The first batch warms up.
    share = median(reading) / median(whole[1:])
    said = (
        f"{rate(BATCH, median(whole[1:]))}, {share:.0%} of it reading the inbox; decode alone {rate(BATCH, median(decoding[1:]))}"
    )
    what = f"stage 1 end to end, predictions of {size:.0f} bytes: decode alone / end to end, processor time"
    yield (what, ">= 0.35", f"{median(ratios):.2f} ({said})")


def mixed(options: Options) -> Iterator[Row]:
    """Half predictions and half labels of predictions half an hour before."""
    half, batches = BATCH // 2, 4 if options.quick else 12
    events = []
    for i in range(batches):
        fresh = world.predictions(i * half, half, a_day=A_DAY)
        told = world.labels(max(i - 1, 0) * half, half, a_day=A_DAY, delay_ms=HOUR_MS)
        events.append([event for pair in zip(fresh, told, strict=True) for event in pair])
    decoding, _, whole = _stage_1(options.home / "mixed.db", events)
    took = median(whole[1:])
    yield (
        "mixed half and half, batches of 20 thousand, decode to land",
        ">= 200 thousand/s on a quiet core",
        f"{rate(BATCH, took)} (decode alone / end to end: {median(decoding[1:]) / took:.2f})",
    )


def _stage_1(path: Path, batches: list[list[bytes]]) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds that each batch takes to decode alone, to read from the inbox alone, and end to end."""
    model, database = world.model_file(), Database.at(path)
    upgrade(database)
    inbox = SqlInbox(database)
    engine = Engine(SqlStore(database), inbox, Partition("inbox", 0), "bench", now=lambda: world.START, group_table=lambda *_: [])
    engine.activate(world.policy_set(model, {}), world.OneReference(world.reference(model)))
    decode = shapes_of({model.name: model}).decode
    decoding, reading, whole = [], [], []
    for events in batches:
        inbox.append(events, world.START)
        decoding.append(cpu(lambda events=events: _decode_alone(decode, events)))
        reading.append(cpu(lambda: inbox.read(engine.claim.next_offset, BATCH)))
        whole.append(cpu(lambda: engine.step(BATCH)))
    total = {f: n for f, n in _fates(engine).items() if n}
    if engine.claim.next_offset != sum(map(len, batches)) or not total.keys() <= {"counted", "joined", "unmatched", "duplicate"}:
        raise SystemExit(f"the benchmark's own events were not counted: {total}")
    database.close()
    return decoding, reading, whole


def _decode_alone(decode: Callable[[bytes], Any], events: list[bytes]) -> None:
    for start in range(0, len(events), CHUNK_EVENTS):
        list(map(decode, events[start : start + CHUNK_EVENTS]))


def _fates(engine: Engine) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in engine.state.models[world.NAME].fates.values():
        for fate, n in counts.items():
            total[fate] = total.get(fate, 0) + n
    return total


# The join ledger


def joining(options: Options) -> Iterator[Row]:
    """Labels of six million live predictions, in no order; and what a row of either map holds in memory."""
    live = LIVE // 6 if options.quick else LIVE
    model = world.model_file()
    timeline = Timeline((Epoch(ALWAYS, model, world.reference(model), {}),))
    tracemalloc.start()
    ledger = _live_ledger(timeline, live)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    rows, bytes_ = _size(run for runs in ledger.predictions.values() for run in runs)
    yield (
        f"memory a live prediction row ({rows / 1e6:.0f} million rows)",
        "24 bytes",
        f"{bytes_ / rows:.1f} bytes of runs ({held / rows:.1f} traced)",
    )
    for size, goal in ((50_000, ">= 500 thousand/s on a quiet core"), (5_000, "")):
        state = ModelState(clock=world.START + DAYS * DAY_MS, ledger=ledger, versions={})
        state.see("1", world.START, world.START + DAYS * DAY_MS - 1)
        took, joined = _label_batches(state, timeline, size, live, 6 if options.quick else 16)
        said = f"{rate(size, median(took))} ({joined:,} joined)"
        yield (f"labels joined, {live / 1e6:.0f} million predictions live, batches of {size // 1000} thousand", goal, said)
        if size == 50_000:
            n, bytes_ = _size(state.ledger.labels)
            yield ("memory a label row", "32 bytes", f"{bytes_ / n:.1f} bytes of runs")


def _live_ledger(timeline: Timeline, live: int) -> Ledger:
    spans, ledger = timeline.latest.spans, Ledger()
    empty = np.zeros(0, np.int64)
    no_labels = Labels(empty, empty.astype(np.uint64), empty, empty, empty)
    for first in range(0, live, 500_000):
        coded = world.coded_predictions(first, 500_000, DAYS)
        ledger = fold(ledger, coded, no_labels, ("1",), spans.bounds(world.START)).ledger
    return ledger


def _label_batches(state: ModelState, timeline: Timeline, size: int, live: int, batches: int) -> tuple[list[float], int]:
    took, offset, at = [], live, world.START + DAYS * DAY_MS
    for numbers in islice(world.label_numbers(size, live), batches):
        batch = world.coded_labels(numbers, offset, at)
        took.append(cpu(lambda batch=batch: count(state, batch, timeline, lambda o: np.full(len(o), at), lambda _: None)))
        offset += size
    joined = sum(counts.get("joined", 0) for counts in state.fates.values())
    return took[1:], joined


def _size(runs: Any) -> tuple[int, int]:
    listed = list(runs)
    held = sum(run.ids.nbytes + sum(column.nbytes for column in run.columns) for run in listed)
    return sum(map(len, listed)), held


# Stage 2


def judging(options: Options) -> Iterator[Row]:
    """One window: PSI of every column, performance and fairness, with evidence, alerts and sealed records."""
    model = world.model_file()
    timeline = Timeline((Epoch(ALWAYS, model, world.reference(model), world.policies()),))
    state = _judged_state(timeline)
    judge, memory = Judge(model.name, lambda *_: []), ModelMemory()
    lateness = timeline.latest.spans.lateness_ms
    end = world.START + DAYS * DAY_MS
    judge.judge(state, timeline, memory, end + lateness)
    whole, sealing, rows = [], [], 0
    for day in range(1, JUDGED + 1):
        effects: list[Effects] = []
        at = end + day * DAY_MS + lateness
        whole.append(cpu(lambda at=at, effects=effects: effects.append(judge.judge(state, timeline, memory, at))))
        sealing.append(cpu(lambda effects=effects: _seal(effects[0])))
        rows = len(effects[0].verdicts)
    alone = [_measure_all(judge, state, timeline, end + day * DAY_MS) for day in range(1, JUDGED + 1)]
    judged, sealed, measured = (median(took) * 1000 for took in (whole, sealing, alone))
    said = (
        f"{judged + sealed:.1f} ms for {rows} verdicts (of it sealing records {sealed:.1f} ms; measuring alone {measured:.1f} ms)"
    )
    yield ("judge one window: 20 columns, 3 segments, drift, performance, fairness", "< 10 ms", said)


def _judged_state(timeline: Timeline) -> ModelState:
    state, a_day = ModelState(), 1_000
    days = DAYS + JUDGED + 1
    for first in range(0, days * a_day, BATCH):
        n = min(BATCH, days * a_day - first)
        events = world.predictions(first, n, a_day=a_day) + world.labels(first, n, a_day=a_day, delay_ms=HOUR_MS)
        batches, letters = code_batch([JsonPart(0, events)], {world.NAME: timeline}, {world.NAME: ()})
        if letters:
            raise SystemExit(f"the benchmark's own events were refused: {letters[0]}")
        count(state, batches[world.NAME], timeline, lambda o: np.full(len(o), world.START), lambda _: None)
    return state


def _seal(effects: Effects) -> None:
    last = FIRST_PREV
    for seq, record in enumerate(effects.records):
        last = seal(record.stream, seq, last, record.kind, record.id, record.model, world.START, record.body).hash


def _measure_all(judge: Judge, state: ModelState, timeline: Timeline, end: int) -> float:
    epoch = timeline.latest
    first, last = end // DAY_MS - DAYS, end // DAY_MS

    def work() -> None:
        window = window_of([state.panes["1", pane] for pane in range(first, last)], epoch.parameters)
        for policy in epoch.policies.values():
            for rule in policy.spec.rules:
                for subject in subjects_of(rule, epoch.model, epoch.parameters.classes):
                    measure(rule, subject, window, judge.reference(epoch))

    return cpu(work)


# The audit log


def auditing(options: Options) -> Iterator[Row]:
    """Verifying a log of verdict records with one row each, as a rule with one subject makes them."""
    n = 5_000 if options.quick else 30_000
    rows, last = [], FIRST_PREV
    for seq in range(n):
        row = seal("decisions/bench", seq, last, "verdicts", f"{seq:032x}", world.NAME, world.START + seq, _verdict_body(seq))
        rows.append(row)
        last = row.hash
    size = sum(len(row.body_bytes) for row in rows) / n
    took = []
    for _ in range(3):
        took.append(cpu(lambda: _verified(rows)))
    yield (f"audit verify, records of {size:.0f} bytes", ">= 100 thousand records/s", rate(n, median(took)))


def _verified(rows: list[Any]) -> None:
    if not verify(rows).ok:
        raise SystemExit("the benchmark's own log does not verify")


def _verdict_body(seq: int) -> dict[str, Any]:
    digest = f"sha256:{seq:064x}"
    return {
        "policy": "drift", "version": "1", "window": {"start": "2024-03-01T00:00:00.000Z", "end": "2024-03-31T00:00:00.000Z"},
        "due_at": "2024-03-31T06:00:00.000Z", "final": False, "digests": {"policy": digest, "model": digest, "reference": digest},
        "method": "1",
        "rows": [
            {
                "id": f"{seq:032x}", "rule": "Drift", "severity": "warn", "metric": "drift.psi", "subject": {"column": "region"},
                "revision": 1, "verdict": "satisfied", "reason": "interval-within-threshold", "value": seq / 7919,
                "interval": [seq / 7927, seq / 7907], "threshold": 0.1, "condition": "> 0.1", "n": seq, "detail": {},
                "evidence": digest, "alert_id": None,
            }
        ],
    }  # fmt: skip


# Whole processes


def starting(options: Options) -> Iterator[Row]:
    """Wall time of commands that people and CI wait for."""
    policies = Path(__file__).parents[1] / "policies"
    for words, goal in ((["--help"], "< 0.5 s"), (["policy", "check", str(policies)], "< 1 s")):
        runs = 3 if options.quick else RUNS
        before = _children()
        took = [_process(words, options.home) for _ in range(runs)]
        own = (_children() - before) / runs
        shown = " ".join(word for word in words if word != str(policies))
        yield (
            f"`guardian {shown}`, wall time of the process",
            goal,
            f"{median(took):.2f} s (best {min(took):.2f} s, of the processor {own:.2f} s)",
        )


def demo(options: Options) -> Iterator[Row]:
    """The whole demo: 188,761 predictions and 184,547 labels of two models, judged and verified."""
    took = _process(["demo", "--dir", str(options.home / "demo")], options.home)
    yield ("`guardian demo`, wall time of the process", "", f"{took:.0f} s")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _process(words: list[str], home: Path) -> float:
    program = Path(sys.executable).with_name("guardian")
    start = time.perf_counter()
    subprocess.run([program, *words], cwd=home, check=True, capture_output=True)  # noqa: S603 - our own command
    return time.perf_counter() - start


SECTIONS: Final = {
    "stage-1": stage_1,
    "mixed": mixed,
    "labels": joining,
    "judge": judging,
    "audit": auditing,
    "start-up": starting,
    "demo": demo,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: a look, not a measurement")
    parser.add_argument("--full", action="store_true", help="the whole demo too")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="these sections alone; may be repeated")
    asked = parser.parse_args()
    wanted = asked.only or [name for name in SECTIONS if name != "demo" or asked.full]
    print(f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| | goal | measured |\n|---|---|---|")
    home = Path(tempfile.mkdtemp(prefix="guardian-bench-"))
    try:
        for name in wanted:
            for row in SECTIONS[name](Options(asked.quick, home)):
                print("| {} | {} | {} |".format(*row), flush=True)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
