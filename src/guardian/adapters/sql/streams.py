"""What is written in one order by many: audit streams and outgoing topics.

The head row of a stream is what its writers wait for each other at. Heads are taken in the order of their names, those that are
missing made in the same pass, so that no two transactions wait for each other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from guardian.adapters.sql.bulk import bulk_insert
from guardian.adapters.sql.dialect import insert_or_touch
from guardian.adapters.sql.lookup import chunks, present
from guardian.adapters.sql.tables import table
from guardian.audit.leaf import FIRST_PREV
from guardian.audit.record import seal
from guardian.engine.outbox import cloud_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from guardian.effects import Announcement, Record


def append_records(connection: Connection, records: Sequence[Record], recorded_at: int) -> None:
    """Append audit records. Raises RecordRefusedError; StoreRefusedError for an id already there."""
    by_stream: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_stream[record.stream].append(record)
    heads = _hold(connection, "audit_head", "stream", by_stream, {"size": 0, "hash": FIRST_PREV})
    rows: list[dict[str, Any]] = []
    for stream, own in by_stream.items():
        size, last = heads[stream].size, heads[stream].hash
        for record in own:
            sealed = seal(stream, size, last, record.kind, record.id, record.model, recorded_at, record.body)
            rows.append(
                {
                    "stream": stream,
                    "seq": size,
                    "id": record.id,
                    "kind": record.kind,
                    "model": record.model,
                    "recorded_at": recorded_at,
                    "body": sealed.body_bytes,
                    "prev": last,
                    "hash": sealed.hash,
                }
            )
            size, last = size + 1, sealed.hash
        _move(connection, "audit_head", "stream", stream, {"size": size, "hash": last})
    bulk_insert(connection, table("audit_record"), rows)


def announce(connection: Connection, announcements: Sequence[Announcement], recorded_at: int) -> None:
    """Insert outbox rows in their topics' order; an id already there, or named twice, goes once."""
    new: dict[str, Announcement] = {}
    for announcement in announcements:
        new.setdefault(announcement.id, announcement)
    heads = _hold(connection, "outbox_head", "topic", {one.topic for one in new.values()}, {"seq": 0})
    there = present(connection, "outbox", "msg_id", list(new))  # Asked for under the locks: nobody adds to these topics any more.
    ends = {topic: head.seq for topic, head in heads.items()}
    rows = []
    for announcement in new.values():
        if announcement.id in there:
            continue
        topic = announcement.topic
        ends[topic] += 1
        rows.append(
            {
                "topic": topic,
                "seq": ends[topic],
                "msg_id": announcement.id,
                "key": announcement.key,
                "value": cloud_event(announcement, ends[topic]),
                "recorded_at": recorded_at,
            }
        )
    bulk_insert(connection, table("outbox"), rows)
    for topic, head in heads.items():
        if ends[topic] > head.seq:
            _move(connection, "outbox_head", "topic", topic, {"seq": ends[topic]})


def _hold(connection: Connection, name: str, key: str, wanted: Iterable[str], fresh: dict[str, Any]) -> dict[str, Any]:
    """Return the head rows of these streams, inserted where missing and held until the transaction ends."""
    heads = table(name)
    held: dict[str, Any] = {}
    for chunk in chunks(sorted(wanted)):
        # Who is there is written as he is: that locks his row, and gives it back as it is then.
        query = insert_or_touch(connection, heads).values([{key: one, **fresh} for one in chunk]).returning(heads)
        held.update((getattr(row, key), row) for row in connection.execute(query))
    return held


def _move(connection: Connection, name: str, key: str, stream: str, to: dict[str, Any]) -> None:
    heads = table(name)
    connection.execute(update(heads).where(heads.c[key] == stream).values(**to))
