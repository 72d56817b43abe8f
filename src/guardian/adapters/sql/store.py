"""`engine.ports.Store` and `engine.lease` on one SQL database."""

from __future__ import annotations

import json
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, tuple_, update

from guardian.adapters.sql.dialect import insert_new, upsert
from guardian.adapters.sql.partitions import (
    ensure_partition,
    ensure_partitions,
    gather,
    lock_partitions,
    own,
    standings,
)
from guardian.adapters.sql.tables import table
from guardian.adapters.sql.transaction import SqlTransaction
from guardian.effects import DeadLetter, Fates, PaneWrite, RunWrite, StateWrite
from guardian.engine.outbox import OutboxRow
from guardian.engine.outgoing import KeptLetter
from guardian.engine.ports import Claim, Positioned, StoredState
from guardian.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from guardian.adapters.sql.database import Database
    from guardian.engine.ports import Gathered, Partition, Standing

OUTBOX_PAGE = 1_000  # Rows read at once by whoever follows a topic.


class SqlStore:
    """The one SQL database as an engine sees it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """Open a write transaction; commit on a clean exit, roll back on any exception."""
        with self.database.writing() as connection:
            yield SqlTransaction(connection)

    def claim(self, partition: Partition, owner: str) -> Claim:
        """Take a partition over: raise its epoch, so that whoever held it is fenced."""
        state = table("partition_state")
        taken = update(state).where(*own(state, partition)).values(epoch=state.c.epoch + 1, owner=owner)
        with self.database.writing() as connection:
            ensure_partition(connection, partition)
            row = connection.execute(taken.returning(state.c.epoch, state.c.next_offset, state.c.catalog)).one()
        return Claim(partition, row.epoch, row.next_offset, row.catalog)

    def position(self, partition: Partition) -> Claim:
        """Return where a partition stands without taking it over."""
        with self.database.writing() as connection:
            (standing,) = lock_partitions(connection, [partition])
        return standing.claim

    def ensure_partitions(self, topic: str, count: int) -> None:
        """Make sure that partitions 0 to count - 1 of a log have rows. Raises InvalidStateError when it has others already."""
        with self.database.writing() as connection:
            ensure_partitions(connection, topic, count)

    def standings(self, topic: str) -> list[Standing]:
        """Return where every partition of a log stands, by number."""
        with self.database.reading() as connection:
            return standings(connection, topic)

    def gather(self, topic: str, model: str, since: Mapping[int, int], oldest: int | None) -> Gathered:
        """Return what a judge reads of a model, all of it from one state of the database."""
        with self.database.reading() as connection:
            return gather(connection, topic, model, since, oldest)

    def load(self, partition: Partition) -> StoredState:
        """Return the stored state of a partition, all of it from one state of the database."""
        with self.database.reading() as connection:
            blobs = _rows(connection, "state_blob", partition, "model", "name", "blob")
            panes = _rows(connection, "pane", partition, "model", "version", "start", "space", "parameters", "blob")
            runs = _rows(connection, "ledger_run", partition, "model", "run", "kind", "version", "rows", "blob")
            counts = _rows(connection, "fate", partition, "model", "pane", "counter", "n")
            fates: dict[tuple[str, int], dict[str, int]] = {}
            for model, pane, counter, n in counts:
                fates.setdefault((model, pane), {})[counter] = n
            return StoredState(
                states=[StateWrite(*row) for row in blobs],
                panes=[PaneWrite(*row) for row in panes],
                runs=[RunWrite(*row) for row in runs],
                fates=[Fates(model, pane, own) for (model, pane), own in fates.items()],
            )

    def positioned(self, partition: Partition, *, kind: str | None = None) -> Iterator[Positioned]:
        """Return positioned records in order of seq."""
        rows = table("positioned")
        wanted = own(rows, partition)
        if kind is not None:
            wanted.append(rows.c.kind == kind)
        columns = (rows.c.seq, rows.c.kind, rows.c.offset, rows.c.body)
        with self.database.reading() as connection:
            found = connection.execute(select(*columns).where(*wanted).order_by(rows.c.seq)).all()
        return (Positioned(seq, of_kind, offset, json.loads(body)) for seq, of_kind, offset, body in found)

    def artifact(self, digest: str) -> bytes:
        """Return stored bytes. Raises NotFoundError."""
        artifacts = table("artifact")
        with self.database.reading() as connection:
            data = connection.execute(select(artifacts.c.data).where(artifacts.c.digest == digest)).scalar()
        if data is None:
            raise NotFoundError(f"nothing is stored under {digest}", hint="check the digest and the home directory")
        return zlib.decompress(data)

    def requests(self) -> list[dict[str, Any]]:
        """Return the latest row of every retraining request."""
        requests = table("retraining")
        with self.database.reading() as connection:
            found = connection.execute(select(requests.c.row).order_by(requests.c.proposed_at, requests.c.id)).scalars().all()
        return [json.loads(row) for row in found]

    def outbox_topics(self) -> list[str]:
        """Return every topic that something was announced on, in order of code points."""
        heads = table("outbox_head")
        with self.database.reading() as connection:
            return sorted(connection.execute(select(heads.c.topic)).scalars())

    def outbox(self, topic: str, after_seq: int = 0, limit: int = OUTBOX_PAGE) -> list[OutboxRow]:
        """Return announcements of a topic after a sequence, in order, at most `limit`."""
        outbox = table("outbox")
        columns = (outbox.c[name] for name in OutboxRow._fields)
        page = select(*columns).where(outbox.c.topic == topic, outbox.c.seq > after_seq).order_by(outbox.c.seq).limit(limit)
        with self.database.reading() as connection:
            return [OutboxRow(*row) for row in connection.execute(page)]

    def dead_letters_after(self, partition: Partition, offset: int, row: int, limit: int) -> list[KeptLetter]:
        """Return dead letters of a partition after a place, in order of (offset, row), at most `limit`."""
        letters = table("dead_letter")
        after = tuple_(letters.c.offset, letters.c.row) > (offset, row)
        columns = (letters.c[name] for name in (*DeadLetter.__slots__, "recorded_at"))
        page = select(*columns).where(*own(letters, partition), after).order_by(letters.c.offset, letters.c.row).limit(limit)
        with self.database.reading() as connection:
            return [KeptLetter(DeadLetter(*letter), at) for *letter, at in connection.execute(page)]

    def marks(self) -> dict[str, int]:
        """Return how far each stream has left."""
        kept = table("relay_mark")
        with self.database.reading() as connection:
            return {row.stream: row.seq for row in connection.execute(select(kept.c.stream, kept.c.seq))}

    def mark(self, stream: str, seq: int, at: int) -> None:
        """Say that everything of a stream up to `seq` is acknowledged; a lower mark does nothing."""
        kept = table("relay_mark")
        with self.database.writing() as connection:
            raised = upsert(connection, kept, only=lambda new: kept.c.seq < new.seq)
            connection.execute(raised, {"stream": stream, "seq": seq, "sent_at": at})

    def acquire(self, name: str, holder: str, ttl_ms: int, now: int) -> int | None:
        """Take the lease until `now + ttl_ms` and return its new epoch; None while somebody else holds it."""
        lease = table("lease")
        with self.database.writing() as connection:
            connection.execute(insert_new(connection, lease), {"name": name, "holder": "", "epoch": 0, "expires_at": 0})
            row = connection.execute(select(lease).where(lease.c.name == name).with_for_update()).one()
            if row.holder not in {"", holder} and row.expires_at > now:
                return None
            taken = {"holder": holder, "epoch": row.epoch + 1, "expires_at": now + ttl_ms}
            connection.execute(update(lease).where(lease.c.name == name).values(**taken))
        return int(row.epoch) + 1

    def holder(self, name: str) -> str:
        """Return who took the lease last and has not released it; empty where nobody has."""
        lease = table("lease")
        with self.database.reading() as connection:
            return connection.execute(select(lease.c.holder).where(lease.c.name == name)).scalar() or ""

    def renew(self, name: str, holder: str, epoch: int, ttl_ms: int, now: int) -> bool:
        """Hold on until `now + ttl_ms`; False when the lease of that epoch is lost or has run out."""
        lease = table("lease")
        held = (
            lease.c.name == name,
            lease.c.holder == holder,
            lease.c.epoch == epoch,
            lease.c.expires_at > now,
        )
        with self.database.writing() as connection:
            return connection.execute(update(lease).where(*held).values(expires_at=now + ttl_ms)).rowcount == 1

    def release(self, name: str, holder: str, epoch: int) -> None:
        """Give the lease up; nothing happens when it is not held at that epoch."""
        lease = table("lease")
        held = (lease.c.name == name, lease.c.holder == holder, lease.c.epoch == epoch)
        with self.database.writing() as connection:
            connection.execute(update(lease).where(*held).values(holder="", expires_at=0))

    def start_run(self, job: str, scheduled_for: int, started_at: int) -> bool:
        """Take the run of `job` that was due at `scheduled_for`; False when somebody took it before."""
        runs = table("job_run")
        row = {"job": job, "scheduled_for": scheduled_for, "started_at": started_at}
        with self.database.writing() as connection:
            return connection.execute(insert_new(connection, runs).returning(runs.c.job), row).first() is not None

    def finish_run(self, job: str, scheduled_for: int, finished_at: int, outcome: str) -> None:
        """Write down how it ended."""
        runs = table("job_run")
        own = (runs.c.job == job, runs.c.scheduled_for == scheduled_for)
        with self.database.writing() as connection:
            connection.execute(update(runs).where(*own).values(finished_at=finished_at, outcome=outcome))

    def close(self) -> None:
        """Close the connections."""
        self.database.close()


def _rows(connection: Connection, name: str, partition: Partition, *columns: str) -> list[Any]:
    rows = table(name)
    # By primary key: what a process loads does not depend on what was written when.
    query = select(*(rows.c[column] for column in columns)).where(*own(rows, partition)).order_by(*rows.primary_key.columns)
    return list(connection.execute(query))
