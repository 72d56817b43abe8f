"""The end tick of a fleet: once everything there is has been counted, every window that predictions made becomes final.

One transaction over all partitions, whoever counts them: the clocks are moved by positioned records, and who counts loads again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from guardian.canonical import short_id
from guardian.effects import Record, StateWrite
from guardian.engine.catalog import load_catalog
from guardian.pipeline.merged import Merged
from guardian.pipeline.state import CLOCK, Clock, end_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.engine.catalog import Held
    from guardian.engine.ports import Standing, Store, Transaction

END_TICK: Final = "end-tick"


def is_drained(standings: list[Standing], ends: Mapping[int, int]) -> bool:
    """Whether everything before `ends`, offsets by partition number, is counted."""
    counted = {standing.claim.partition.number: standing.claim.next_offset for standing in standings}
    return bool(ends) and all(counted.get(number, -1) >= end for number, end in ends.items())


def finalise(store: Store, topic: str, ends: Mapping[int, int], at: int) -> bool:
    """Write the end tick of every watched model in every partition; False where something before `ends` is not counted yet.

    A partition that the clock has reached already is left alone, so that a second call changes nothing.
    """
    partitions = [standing.claim.partition for standing in store.standings(topic)]
    if not partitions:
        return False
    watched = {name: held for name, held in load_catalog(store, partitions[0]).items() if held.watched}
    with store.begin() as transaction:
        locked = transaction.lock(partitions)
        if not is_drained(locked, ends):
            return False
        moved = {number for name, held in watched.items() for number in _tick(transaction, topic, name, held, locked, at)}
        for standing in locked:
            if standing.claim.partition.number in moved:
                transaction.raise_catalog(standing.claim.partition)
    return True


def _tick(transaction: Transaction, topic: str, model: str, held: Held, locked: list[Standing], at: int) -> list[int]:
    """Move a model's clocks to its end; return the numbers of the partitions that were behind it."""
    stored = transaction.clocks(topic, model)
    merged = Merged()
    merged.take_clocks(stored, len(locked))
    end = end_of(merged.versions, held.timeline.latest.spans)
    if end is None:
        return []
    moved = []
    for standing in locked:
        partition, offset = standing.claim.partition, standing.claim.next_offset
        clock = Clock.from_bytes(stored[partition.number]) if partition.number in stored else Clock()
        if clock.clock is not None and clock.clock >= end:
            continue
        moved.append(partition.number)
        body = {"model": model, "clock": end}
        transaction.add_positioned(partition, END_TICK, offset, body, at)
        transaction.put_states(partition, [StateWrite(model, CLOCK, replace(clock, clock=end).to_bytes())])
        said = {**body, "offset": offset, "partition": partition.number}
        id_ = short_id(END_TICK, model, str(end), topic, str(partition.number), str(offset))
        transaction.append_records([Record("control", END_TICK, id_, model, said)], at)
    return moved
