"""What reading and signing the audit log needs of a store. Appending is `Transaction.append_records`.

Streams are ordered by their name's code points, records by sequence, whatever the collation of the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from guardian.audit.leaf import Head, Sealed, StoredCheckpoint


class AuditLog(Protocol):
    """The audit log of one database, to be read, exported and signed.

    A record comes exactly as the store holds it: whatever somebody may have made of its columns, unrepaired.
    """

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything read inside sees one state of the database: one read transaction."""

    def log_id(self) -> str:
        """Return the id that this log was given when its database was made: 1 to 64 of a-z, 0-9 and -."""

    def rows(self, stream: str | None = None, from_seq: int = 0) -> Iterator[Sealed]:
        """Yield records by (stream, seq), of one stream or all, from `from_seq` on in each; lazily."""

    def heads(self) -> list[Head]:
        """Return the head of every stream that holds a record, as the store keeps it, by stream."""

    def find(self, record_id: str) -> Sealed | None:
        """Return the record of that id."""

    def checkpoints(self) -> list[StoredCheckpoint]:
        """Return the stored checkpoints by (origin, size)."""

    def put_checkpoint(self, origin: str, size: int, root: str, note: bytes, at: int) -> None:
        """Keep a signed checkpoint; the same (origin, size) again changes nothing. Not inside `snapshot`."""
