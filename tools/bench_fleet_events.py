"""What the benchmarks of a fleet read: records of single events in JSON, some of them poison, and records of Arrow tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import bench_world as world
import numpy as np
import pyarrow as pa

from guardian.adapters.kafka.arrow_log import ARROW_TYPE
from guardian.adapters.kafka.log import CONTENT_TYPE, key_of
from guardian.adapters.kafka.producer import Outgoing
from guardian.events.arrow_encode import PredictionColumns, arrow_predictions
from guardian.events.placement import partitions_of
from guardian.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK: Final = 20_000
ROWS: Final = 5_000  # Of one Arrow record, as `emit` makes them.
VARIANTS: Final = 8  # Tables of values that Arrow records repeat; ids and times are each record's own.
# Ways to be wrong that serving systems know: cut short, a number as text, no time, an unknown model, no JSON at all.
POISONS: Final = (
    lambda event: event[: len(event) // 2],
    lambda event: event.replace(b'"number_03":', b'"number_03":"x",  "was":', 1),
    lambda event: event.replace(b'"time":"20', b'"time":"soon', 1),
    lambda event: event.replace(b'"model":"bench"', b'"model":"other"', 1),
    lambda _: b"\x00\x01\x02",
)


def singles(count: int, partitions: int, *, a_day: int, poison: float = 0.0) -> Iterator[list[Outgoing]]:
    """Yield predictions in structured JSON, each keyed by its id, where Java's clients would send it."""
    dice = np.random.default_rng(world.SEED)
    for first in range(0, count, CHUNK):
        n = min(CHUNK, count - first)
        events = world.predictions(first, n, a_day=a_day)
        keys = [key_of(event) or b"" for event in events]
        for place in np.flatnonzero(dice.random(n) < poison).tolist():
            events[place] = POISONS[place % len(POISONS)](events[place])
        numbers = partitions_of("murmur2", keys, partitions).tolist()
        yield [
            Outgoing(key, event, CONTENT_TYPE, world.START, number)
            for key, event, number in zip(keys, events, numbers, strict=True)
        ]


def tables(count: int, partitions: int, *, a_day: int) -> Iterator[list[Outgoing]]:
    """Yield predictions in Arrow streams of ROWS rows, every row in the partition of its id; about in order of time."""
    variants = [_table(seed) for seed in range(VARIANTS)]
    ids, times = [_nothing() for _ in range(partitions)], [_nothing() for _ in range(partitions)]
    made = 0
    for first in range(0, count, CHUNK):
        numbers = np.arange(first, min(first + CHUNK, count))
        fresh = np.array(
            [f"{hashed:016x}-{number:08d}" for hashed, number in zip(_hashed(numbers), numbers, strict=True)], object
        )
        at, where = world.START + numbers * DAY_MS // a_day, partitions_of("murmur2", fresh.tolist(), partitions)
        for number in range(partitions):
            ids[number] = np.concatenate([ids[number], fresh[where == number]])
            times[number] = np.concatenate([times[number], at[where == number]])
        records = []
        for number in range(partitions):
            while len(ids[number]) >= ROWS or (first + CHUNK >= count and len(ids[number])):
                value = _stream(variants[made % VARIANTS], ids[number][:ROWS], times[number][:ROWS])
                records.append(Outgoing(None, value, ARROW_TYPE, world.START, number))
                ids[number], times[number] = ids[number][ROWS:], times[number][ROWS:]
                made += 1
        yield records


def _nothing() -> np.ndarray:
    return np.zeros(0, object)


def _hashed(numbers: np.ndarray) -> list[int]:
    return [int(number) * 0x9E3779B97F4A7C15 % (1 << 64) for number in numbers]


def _table(seed: int) -> pa.RecordBatch:
    rows = world.Rows(ROWS, 1_000 + seed)
    columns = PredictionColumns(
        model=world.NAME,
        ids=[""] * ROWS,
        times=[0] * ROWS,
        predictions=rows.predictions.tolist(),
        scores=rows.scores.tolist(),
        features={name: values.tolist() for name, values in {**rows.numbers, **rows.texts}.items()},
    )
    with pa.ipc.open_stream(arrow_predictions(columns)) as stream:
        return stream.read_next_batch()


def _stream(batch: pa.RecordBatch, ids: Sequence[str], times: Sequence[int]) -> bytes:
    batch = batch.slice(0, len(ids))
    fresh = {"id": pa.array(ids, pa.string()), "time": pa.array(times, pa.timestamp("ms", "UTC"))}
    arrays = [fresh.get(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=batch.schema))
    return bytes(out.getvalue().to_pybytes())
