"""What a fleet's database should hold: its log and its positioned records folded anew, undisturbed, in one process.

State is a fold of the events that were counted and of what is positioned among them, so that two stores with the same of both
must agree, however the one of them came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from guardian.adapters.memory.store import MemoryStore
from guardian.engine.counting import Batch, Counting
from guardian.engine.judging import ModelJudge, seat_of
from guardian.engine.land import land
from guardian.events.parts import JsonPart
from guardian.pipeline.state import CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guardian.adapters.memory.store import Tables
    from guardian.engine.ports import Partition, Positioned
    from guardian.events.placement import Placement
    from guardian.testing.simulated_log import SimulatedRecord

ACTIVATION: Final = "activation"
AT: Final = 0  # Nothing that is compared depends on when it was written down.


def refold(
    tables: Tables, counted: Mapping[Partition, Sequence[SimulatedRecord]], placement_of: Callable[[int], Placement | None]
) -> Tables:
    """Return the tables of an undisturbed fold and judging.

    Args:
        tables: Of the store whose positioned records and files are taken over.
        counted: What was counted of every partition of one log.
        placement_of: Which ids belong to the partition of a number.
    """
    fresh = MemoryStore()
    topic = next(iter(counted)).topic
    fresh.ensure_partitions(topic, len(counted))
    fresh.tables.artifacts.update(tables.artifacts)
    models = sorted({row.body["model"] for _, row in tables.positioned.values() if row.kind == ACTIVATION})
    for partition, records in counted.items():
        rows = [row for _, (own, row) in sorted(tables.positioned.items()) if own == partition]
        _fold(fresh, partition, records, rows, placement_of(partition.number))
    for model in models:
        for _, (own, row) in sorted(tables.positioned.items()):
            if own == seat_of(model) and row.kind == ACTIVATION:
                _activate(fresh, own, row)
        judge = ModelJudge(fresh, topic, model, "oracle", now=lambda: AT, group_table=lambda *_: [])
        while judge.sit() is not None:
            pass
    return fresh.tables


def _activate(store: MemoryStore, partition: Partition, row: Positioned) -> None:
    with store.begin() as transaction:
        transaction.add_positioned(partition, row.kind, row.offset, row.body, AT)


def _fold(
    store: MemoryStore,
    partition: Partition,
    records: Sequence[SimulatedRecord],
    rows: Sequence[Positioned],
    placement: Placement | None,
) -> None:
    """Fold one partition: events up to each positioned record, then that."""
    counting = Counting(store, partition, "oracle", now=lambda: AT)
    at = 0
    for row in rows:
        more = next((i for i in range(at, len(records)) if records[i].offset >= row.offset), len(records))
        counting.take()
        _count(store, counting, records[at:more], placement)
        at = more
        if row.kind == ACTIVATION:
            _activate(store, partition, row)
            continue
        effects = counting.tick(row.kind, {row.body["model"]: row.body["clock"]}, lambda *_: None)
        land(store, counting.claim, counting.claim.next_offset, effects, AT)
    counting.take()
    _count(store, counting, records[at:], placement)


def _count(store: MemoryStore, counting: Counting, records: Sequence[SimulatedRecord], placement: Placement | None) -> None:
    if not records:
        return
    batch = Batch(
        first_offset=records[0].offset,
        next_offset=records[-1].offset + 1,
        parts=[JsonPart(0, [record.value or b"" for record in records])],
        offsets=np.array([record.offset for record in records], np.int64),
        rows=np.zeros(len(records), np.int64),
        received=np.array([record.timestamp for record in records], np.int64),
        digest="",
    )
    effects = counting.count(batch, lambda *_: None, placement=placement)
    counting.claim = land(store, counting.claim, batch.next_offset, effects, AT)


def panes_of(tables: Tables) -> dict[Any, bytes]:
    """Return every pane that counts something, by partition and key."""
    return {(partition.number, key): write.blob for (partition, key), write in tables.panes.items() if write.blob}


def clocks_of(tables: Tables) -> dict[Any, Any]:
    """Return what is known of every model's clock, by partition and model, without what depends on how steps were cut."""
    found = {}
    for (partition, (model, name)), write in tables.states.items():
        if name == CLOCK:
            said = Clock.from_bytes(write.blob)
            found[partition.number, model] = (said.clock, said.ticked, said.versions, said.named)
    return found
