"""The write side: one open transaction, filled by bulk inserts of plain rows."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from guardian.adapters.sql.dialect import insert_new, upsert
from guardian.adapters.sql.tables import table
from guardian.audit.leaf import FIRST_PREV
from guardian.audit.record import seal
from guardian.engine.outbox import cloud_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from guardian.effects import (
        AlertWrite,
        Announcement,
        Artifact,
        DeadLetter,
        Fates,
        PaneWrite,
        Record,
        RequestWrite,
        RunDrop,
        RunWrite,
        StateWrite,
        VerdictEntry,
    )
    from guardian.engine.ports import Claim, Partition

ARTIFACT_LEVEL: Final = 1  # Of zlib. Counts are mostly small integers: level 9 saves a tenth more for six times the time.
LOOKUP_CHUNK: Final = 500  # Keys asked for in one SELECT, below every database's limit of parameters.


class SqlTransaction:
    """`engine.ports.Transaction` on an open connection that holds the write lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def advance(self, claim: Claim, next_offset: int) -> bool:
        """Compare and swap the position; rowcount 0 means that the claim is stale."""
        state = table("partition_state")
        moved = self._connection.execute(
            update(state)
            .where(
                state.c.topic == claim.partition.topic,
                state.c.part == claim.partition.number,
                state.c.epoch == claim.epoch,
                state.c.next_offset == claim.next_offset,
                state.c.catalog == claim.catalog,
            )
            .values(next_offset=next_offset)
        )
        return moved.rowcount == 1

    def put_states(self, partition: Partition, writes: Sequence[StateWrite]) -> None:
        """Replace named state blobs."""
        self._upsert(
            "state_blob",
            ({**_at(partition), "model": w.model, "name": w.name, "blob": w.blob} for w in writes),
        )

    def put_panes(self, partition: Partition, writes: Sequence[PaneWrite]) -> None:
        """Replace pane spaces."""
        self._upsert(
            "pane",
            (
                {
                    **_at(partition),
                    "model": w.model,
                    "version": w.version,
                    "start": w.start,
                    "space": w.space,
                    "parameters": w.parameters,
                    "blob": w.blob,
                }
                for w in writes
            ),
        )

    def put_runs(self, partition: Partition, writes: Sequence[RunWrite], drops: Sequence[RunDrop]) -> None:
        """Insert new ledger runs; delete those that were there before and are dropped."""
        runs = table("ledger_run")
        for drop in drops:
            self._connection.execute(
                delete(runs).where(
                    runs.c.topic == partition.topic,
                    runs.c.part == partition.number,
                    runs.c.model == drop.model,
                    runs.c.run == drop.run,
                )
            )
        gone = {(drop.model, drop.run) for drop in drops}  # A step may make a run and merge it away again.
        rows = (
            {
                **_at(partition),
                "model": w.model,
                "run": w.run,
                "kind": w.kind,
                "version": w.version,
                "rows": w.rows,
                "blob": w.blob,
            }
            for w in writes
            if (w.model, w.run) not in gone
        )
        self._insert(runs, rows)

    def put_fates(self, partition: Partition, writes: Sequence[Fates]) -> None:
        """Replace intake counters."""
        self._upsert(
            "fate",
            (
                {**_at(partition), "model": w.model, "pane": w.pane, "counter": counter, "n": n}
                for w in writes
                for counter, n in w.counts.items()
            ),
        )

    def put_dead_letters(self, partition: Partition, letters: Sequence[DeadLetter], recorded_at: int) -> None:
        """Insert dead letters."""
        rows = (
            {
                **_at(partition),
                "offset": x.offset,
                "reason": x.reason,
                "detail": x.detail,
                "place": x.place,
                "model": x.model,
                "size": x.size,
                "sha256": x.sha256,
                "sample": x.sample,
                "recorded_at": recorded_at,
            }
            for x in letters
        )
        self._insert(table("dead_letter"), rows)

    def put_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        """Insert what is not there yet; only that is compressed."""
        wanted = {artifact.digest: artifact for artifact in artifacts}
        there = self._there("artifact", "digest", list(wanted))
        rows = [
            {"digest": digest, "kind": artifact.kind, "data": zlib.compress(artifact.data, ARTIFACT_LEVEL)}
            for digest, artifact in wanted.items()
            if digest not in there
        ]
        self._insert(table("artifact"), rows)

    def append_records(self, records: Sequence[Record], recorded_at: int) -> None:
        """Append audit records. Raises RecordRefusedError; StoreRefusedError for an id already there."""
        by_stream: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_stream[record.stream].append(record)
        for stream, own in by_stream.items():
            self._append(stream, own, recorded_at)

    def _append(self, stream: str, records: Sequence[Record], recorded_at: int) -> None:
        heads = table("audit_head")
        head = self._connection.execute(select(heads.c.size, heads.c.hash).where(heads.c.stream == stream)).first()
        size, last = (0, FIRST_PREV) if head is None else (head.size, head.hash)
        rows = []
        for record in records:
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
        self._insert(table("audit_record"), rows)
        self._upsert("audit_head", [{"stream": stream, "size": size, "hash": last}])

    def put_verdicts(self, entries: Sequence[VerdictEntry]) -> None:
        """Insert revisions; an older revision of the same id stops being the latest."""
        if not entries:
            return
        newest: dict[str, int] = {}
        for entry in entries:
            newest[entry.id] = max(entry.revision, newest.get(entry.id, entry.revision))
        verdicts = table("verdict")
        # The bound on the revision makes the database look in the primary key, not among all latest verdicts.
        older = update(verdicts).where(verdicts.c.id == bindparam("old"), verdicts.c.revision < bindparam("newest"))
        if revised := [{"old": id_, "newest": revision} for id_, revision in newest.items() if revision > 1]:
            self._connection.execute(older.where(verdicts.c.latest).values(latest=False), revised)
        self._insert(verdicts, ({**_slots(entry), "latest": newest[entry.id] == entry.revision} for entry in entries))

    def put_alerts(self, writes: Sequence[AlertWrite]) -> None:
        """Replace or remove alert rows; of several writes of one alert the last counts."""
        last = {write.id: write for write in writes}
        alerts = table("alert")
        if gone := [id_ for id_, write in last.items() if write.gone]:
            self._connection.execute(delete(alerts).where(alerts.c.id == bindparam("gone")), [{"gone": id_} for id_ in gone])
        kept = (write for write in last.values() if not write.gone)
        self._upsert("alert", ({**_slots(w, "gone"), "row": _json(w.row)} for w in kept))

    def put_requests(self, writes: Sequence[RequestWrite]) -> None:
        """Replace retraining rows."""
        self._upsert("retraining", ({**_slots(w), "row": _json(w.row)} for w in writes))

    def announce(self, announcements: Sequence[Announcement], recorded_at: int) -> None:
        """Insert outbox rows in their topics' order; an id already there, or named twice, goes once."""
        new: dict[str, Announcement] = {}
        for announcement in announcements:
            new.setdefault(announcement.id, announcement)
        there = self._there("outbox", "msg_id", list(new))
        ends: dict[str, int] = {}
        rows = []
        for announcement in new.values():
            if announcement.id in there:
                continue
            topic = announcement.topic
            seq = ends[topic] = (ends[topic] if topic in ends else self._outbox_end(topic)) + 1
            rows.append(
                {
                    "topic": topic,
                    "seq": seq,
                    "msg_id": announcement.id,
                    "key": announcement.key,
                    "value": cloud_event(announcement, seq),
                    "recorded_at": recorded_at,
                }
            )
        self._insert(table("outbox"), rows)

    def _outbox_end(self, topic: str) -> int:
        outbox = table("outbox")
        end = self._connection.execute(select(func.max(outbox.c.seq)).where(outbox.c.topic == topic)).scalar()
        return end or 0

    def add_positioned(self, partition: Partition, kind: str, offset: int, body: Mapping[str, Any], recorded_at: int) -> int:
        """Insert a positioned record; return its seq."""
        row = {
            **_at(partition),
            "kind": kind,
            "offset": offset,
            "body": _json(body),
            "recorded_at": recorded_at,
        }
        key = self._connection.execute(insert(table("positioned")), row).inserted_primary_key
        return int(key[0]) if key else 0

    def raise_catalog(self, partition: Partition) -> int:
        """Raise the partition's catalog number and return it."""
        ensure_partition(self._connection, partition)
        state = table("partition_state")
        own = (state.c.topic == partition.topic, state.c.part == partition.number)
        self._connection.execute(update(state).where(*own).values(catalog=state.c.catalog + 1))
        return int(self._connection.execute(select(state.c.catalog).where(*own)).scalar_one())

    def _insert(self, into: Table, rows: Iterable[dict[str, Any]]) -> None:
        if listed := list(rows):
            self._connection.execute(insert(into), listed)

    def _upsert(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        if listed := list(rows):
            self._connection.execute(upsert(self._connection, table(name)), listed)

    def _there(self, name: str, column: str, keys: Sequence[str]) -> set[str]:
        asked = table(name).c[column]
        found: set[str] = set()
        for chunk in _chunks(keys, LOOKUP_CHUNK):
            found.update(self._connection.execute(select(asked).where(asked.in_(chunk))).scalars())
        return found


def ensure_partition(connection: Connection, partition: Partition) -> None:
    """Insert the row of a partition that nobody has claimed yet."""
    fresh = {**_at(partition), "next_offset": 0, "epoch": 0, "owner": "", "catalog": 0}
    state = table("partition_state")
    connection.execute(insert_new(connection, state), fresh)


def _at(partition: Partition) -> dict[str, Any]:
    return {"topic": partition.topic, "part": partition.number}


def _slots(value: Any, *without: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__ if name not in without}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
