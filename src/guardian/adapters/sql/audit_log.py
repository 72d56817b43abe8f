"""`engine.audit_port.AuditLog` on the SQL database: rows exactly as they are stored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from guardian.adapters.sql.dialect import insert_new
from guardian.adapters.sql.schema import stored_log_id
from guardian.adapters.sql.tables import table
from guardian.audit.leaf import Head, Sealed, StoredCheckpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from guardian.adapters.sql.database import Database

PAGE: Final = 500  # Records fetched at once: bounds memory whatever the log holds.


class SqlAuditLog:
    """The audit log of one database. Not for several threads: a snapshot belongs to the whole object."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot: Connection | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside sees one state of the database."""
        with self._database.reading() as connection:
            self._snapshot = connection
            try:
                yield
            finally:
                self._snapshot = None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._snapshot is not None:
            yield self._snapshot
            return
        with self._database.reading() as connection:
            yield connection

    def log_id(self) -> str:
        """Return the id that this log was given when its database was made. Raises NotFoundError."""
        with self._reading() as connection:
            return stored_log_id(connection)

    def rows(self, stream: str | None = None, from_seq: int = 0) -> Iterator[Sealed]:
        """Yield records by (stream, seq), from `from_seq` on in each stream."""
        records = table("audit_record")
        with self._reading() as connection:
            everyone = select(records.c.stream).distinct()
            streams = [stream] if stream is not None else sorted(connection.execute(everyone).scalars())
            for name in streams:
                query = _records().where(records.c.stream == name, records.c.seq >= from_seq).order_by(records.c.seq)
                with connection.execute(query, execution_options={"yield_per": PAGE}) as found:
                    for row in found:
                        yield Sealed(*row)

    def heads(self) -> list[Head]:
        """Return the head of every stream, as stored, by stream."""
        heads = table("audit_head")
        with self._reading() as connection:
            return sorted(Head(*row) for row in connection.execute(select(heads.c.stream, heads.c.size, heads.c.hash)))

    def find(self, record_id: str) -> Sealed | None:
        """Return the record of that id."""
        with self._reading() as connection:
            row = connection.execute(_records().where(table("audit_record").c.id == record_id)).first()
        return None if row is None else Sealed(*row)

    def checkpoints(self) -> list[StoredCheckpoint]:
        """Return the stored checkpoints by (origin, size)."""
        kept = table("checkpoint")
        columns = (kept.c.origin, kept.c.size, kept.c.root, kept.c.note, kept.c.at)
        with self._reading() as connection:
            return sorted(StoredCheckpoint(*row) for row in connection.execute(select(*columns)))

    def put_checkpoint(self, origin: str, size: int, root: str, note: bytes, at: int) -> None:
        """Keep a signed checkpoint; the same (origin, size) again changes nothing."""
        kept = table("checkpoint")
        row = {"origin": origin, "size": size, "root": root, "note": note, "at": at}
        with self._database.writing() as connection:
            connection.execute(insert_new(connection, kept), row)


def _records() -> Any:
    records = table("audit_record")
    names = ("stream", "seq", "id", "kind", "model", "recorded_at", "body", "prev", "hash")
    return select(*(records.c[name] for name in names))
