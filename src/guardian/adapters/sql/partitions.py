"""Where the partitions of a log stand: their rows, the locks on them, and what is read of a model across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from guardian.adapters.sql.dialect import insert_new
from guardian.adapters.sql.tables import table
from guardian.effects import PaneWrite
from guardian.engine.ports import Claim, Gathered, Partition, Standing
from guardian.errors import InvalidStateError
from guardian.pipeline.state import CLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Table


def at(partition: Partition) -> dict[str, Any]:
    """Return the columns that name a partition."""
    return {"topic": partition.topic, "part": partition.number}


def own(rows: Table, partition: Partition) -> list[Any]:
    """Return the conditions for a partition's rows."""
    return [rows.c.topic == partition.topic, rows.c.part == partition.number]


def ensure_partition(connection: Connection, partition: Partition) -> bool:
    """Insert the row of a partition that nobody has claimed yet; return whether it was not there."""
    state = table("partition_state")
    fresh = {**at(partition), "next_offset": 0, "epoch": 0, "owner": "", "catalog": 0}
    return connection.execute(insert_new(connection, state).returning(state.c.part), fresh).first() is not None


def ensure_partitions(connection: Connection, topic: str, count: int) -> None:
    """Make sure that partitions 0 to count - 1 of a log have rows. Raises InvalidStateError when it has others already.

    Row 0 is what two processes wait for each other at: whoever inserts it makes all the others.
    """
    state = table("partition_state")
    is_first = ensure_partition(connection, Partition(topic, 0))
    numbers = set(connection.execute(select(state.c.part).where(state.c.topic == topic)).scalars())
    expected = {0} if is_first else set(range(count))
    if numbers != expected:
        raise InvalidStateError(
            f"the log {topic} has {count} partitions, and there is state of {len(numbers - {0} if is_first else numbers)}",
            hint="give the topic back its number of partitions, or count a new topic under another prefix",
        )
    for number in range(1, count) if is_first else ():
        ensure_partition(connection, Partition(topic, number))


def lock_partitions(connection: Connection, partitions: Sequence[Partition]) -> list[Standing]:
    """Insert missing rows and hold all of them, in the order of (topic, number); answer in the order given."""
    wanted = sorted(set(partitions), key=lambda partition: (partition.topic, partition.number))
    for partition in wanted:
        ensure_partition(connection, partition)
    held: dict[Partition, Standing] = {}
    for topic in sorted({partition.topic for partition in wanted}):
        numbers = [partition.number for partition in wanted if partition.topic == topic]
        held |= {standing.claim.partition: standing for standing in standings(connection, topic, hold=numbers)}
    return [held[partition] for partition in partitions]


def standings(connection: Connection, topic: str, *, hold: Sequence[int] | None = None) -> list[Standing]:
    """Return where a log's partitions stand, by number: all, or those of `hold`, which nobody else writes from then on."""
    state = table("partition_state")
    query = select(state).where(state.c.topic == topic).order_by(state.c.part)
    if hold is not None:
        query = query.where(state.c.part.in_(hold)).with_for_update()
    return [
        Standing(Claim(Partition(topic, row.part), row.epoch, row.next_offset, row.catalog), row.status, row.tail, row.owner)
        for row in connection.execute(query)
    ]


def clocks(connection: Connection, topic: str, model: str) -> dict[int, bytes]:
    """Return the model's stored clock blobs by number of partition."""
    blobs = table("state_blob")
    query = select(blobs.c.part, blobs.c.blob).where(blobs.c.topic == topic, blobs.c.model == model, blobs.c.name == CLOCK)
    return {row.part: row.blob for row in connection.execute(query.order_by(blobs.c.part))}


def gather(connection: Connection, topic: str, model: str, since: Mapping[int, int], oldest: int | None) -> Gathered:
    """Return what a judge reads of a model, panes in the order of partition and key."""
    offsets = {standing.claim.partition.number: standing.claim.next_offset for standing in standings(connection, topic)}
    panes = [
        (number, pane)
        for number, end in offsets.items()
        if number not in since or since[number] < end  # Nothing was written at an offset that is not reached.
        for pane in _panes(connection, Partition(topic, number), model, since.get(number), oldest)
    ]
    return Gathered(offsets, clocks(connection, topic, model), panes)


def _panes(connection: Connection, partition: Partition, model: str, since: int | None, oldest: int | None) -> list[PaneWrite]:
    rows = table("pane")
    wanted = [*own(rows, partition), rows.c.model == model]
    if since is not None:
        wanted.append(rows.c.next_offset > since)
    if oldest is not None:
        wanted.append(rows.c.start >= oldest)
    columns = (rows.c[name] for name in ("model", "version", "start", "space", "parameters", "blob"))
    found = connection.execute(select(*columns).where(*wanted).order_by(*rows.primary_key.columns))
    return [PaneWrite(*row) for row in found]
