"""The write side: one open transaction, filled by bulk inserts of plain rows."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, update

from guardian.adapters.sql.bulk import bulk_insert, run
from guardian.adapters.sql.dialect import insert_new, upsert
from guardian.adapters.sql.lookup import present
from guardian.adapters.sql.partitions import at, clocks, ensure_partition, lock_partitions, own
from guardian.adapters.sql.streams import announce, append_records
from guardian.adapters.sql.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

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
    from guardian.engine.ports import Claim, Partition, Standing

ARTIFACT_LEVEL: Final = 1  # Of zlib. Counts are mostly small integers: level 9 saves a tenth more for six times the time.


class SqlTransaction:
    """`engine.ports.Transaction` on an open connection that holds the write lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def advance(self, claim: Claim, next_offset: int, tail: str) -> bool:
        """Compare and swap the position; rowcount 0 means that the claim is stale."""
        state = table("partition_state")
        moved = self._connection.execute(
            update(state)
            .where(
                *own(state, claim.partition),
                state.c.epoch == claim.epoch,
                state.c.next_offset == claim.next_offset,
                state.c.catalog == claim.catalog,
            )
            .values(next_offset=next_offset, **({"tail": tail} if tail else {}))
        )
        return moved.rowcount == 1

    def lock(self, partitions: Sequence[Partition]) -> list[Standing]:
        """Make sure the partitions have rows, and hold them until the transaction ends, in one order whoever asks."""
        return lock_partitions(self._connection, partitions)

    def clocks(self, topic: str, model: str) -> dict[int, bytes]:
        """Return the model's stored clock blobs by number of partition."""
        return clocks(self._connection, topic, model)

    def set_status(self, partition: Partition, status: str) -> None:
        """Mark a partition `running` or `halted`."""
        ensure_partition(self._connection, partition)
        state = table("partition_state")
        self._connection.execute(update(state).where(*own(state, partition)).values(status=status))

    def put_states(self, partition: Partition, writes: Sequence[StateWrite]) -> None:
        """Replace named state blobs."""
        self._upsert(
            "state_blob",
            ({**at(partition), "model": w.model, "name": w.name, "blob": w.blob} for w in writes),
        )

    def put_panes(self, partition: Partition, writes: Sequence[PaneWrite], next_offset: int) -> None:
        """Replace pane spaces, each with the offset that it was written at."""
        self._upsert(
            "pane",
            (
                {
                    **at(partition),
                    "model": w.model,
                    "version": w.version,
                    "start": w.start,
                    "space": w.space,
                    "parameters": w.parameters,
                    "blob": w.blob,
                    "next_offset": next_offset,
                }
                for w in writes
            ),
        )

    def put_runs(self, partition: Partition, writes: Sequence[RunWrite], drops: Sequence[RunDrop]) -> None:
        """Insert new ledger runs; delete those that were there before and are dropped."""
        runs = table("ledger_run")
        for drop in drops:
            self._connection.execute(
                delete(runs).where(*own(runs, partition), runs.c.model == drop.model, runs.c.run == drop.run)
            )
        gone = {(drop.model, drop.run) for drop in drops}  # A step may make a run and merge it away again.
        rows = (
            {
                **at(partition),
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
        bulk_insert(self._connection, runs, rows)

    def put_fates(self, partition: Partition, writes: Sequence[Fates]) -> None:
        """Replace intake counters."""
        self._upsert(
            "fate",
            (
                {**at(partition), "model": w.model, "pane": w.pane, "counter": counter, "n": n}
                for w in writes
                for counter, n in w.counts.items()
            ),
        )

    def put_dead_letters(self, partition: Partition, letters: Sequence[DeadLetter], recorded_at: int) -> None:
        """Insert dead letters."""
        rows = (
            {
                **at(partition),
                "offset": x.offset,
                "row": x.row,
                "reason": x.reason,
                "detail": _text(x.detail),
                "place": _text(x.place),
                "model": _text(x.model),
                "size": x.size,
                "sha256": x.sha256,
                "sample": x.sample,
                "recorded_at": recorded_at,
            }
            for x in letters
        )
        bulk_insert(self._connection, table("dead_letter"), rows)

    def put_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        """Insert what is not there yet; only that is compressed.

        Somebody else may store the same bytes at the same moment: then one of both waits for the other, in order of digests.
        """
        wanted = {artifact.digest: artifact for artifact in artifacts}
        there = present(self._connection, "artifact", "digest", list(wanted))
        rows = [
            {"digest": digest, "kind": artifact.kind, "data": zlib.compress(artifact.data, ARTIFACT_LEVEL)}
            for digest, artifact in sorted(wanted.items())
            if digest not in there
        ]
        if rows:
            self._connection.execute(insert_new(self._connection, table("artifact")), rows)

    def append_records(self, records: Sequence[Record], recorded_at: int) -> None:
        """Append audit records. Raises RecordRefusedError; StoreRefusedError for an id already there."""
        append_records(self._connection, records, recorded_at)

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
        rows = ({**_slots(entry), "latest": newest[entry.id] == entry.revision} for entry in entries)
        bulk_insert(self._connection, verdicts, rows)

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
        announce(self._connection, announcements, recorded_at)

    def add_positioned(self, partition: Partition, kind: str, offset: int, body: Mapping[str, Any], recorded_at: int) -> int:
        """Insert a positioned record; return its seq."""
        row = {
            **at(partition),
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
        raised = update(state).where(*own(state, partition)).values(catalog=state.c.catalog + 1)
        return int(self._connection.execute(raised.returning(state.c.catalog)).scalar_one())

    def _upsert(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        if listed := list(rows):
            run(self._connection, upsert(self._connection, table(name)), listed)


def _slots(value: Any, *without: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__ if name not in without}


def _text(written: str) -> str:
    # What a stranger wrote, who may have written NUL, which PostgreSQL keeps in no text.
    return written.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
