"""The tables: where it lies. What it means is said by `effects` and `engine.ports`.

Instants and offsets are 64-bit integers: times are UTC milliseconds. Rows on the hot path are written through
the Core tables that `table` returns; the classes state the schema once, for migrations to be compared with.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, Index, Integer, Table, Text, TextClause, text
from sqlmodel import Field, SQLModel

INT: Final[Any] = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's own key type; 64 bits there as well.


def _int(**options: Any) -> Any:
    return Field(sa_type=INT, **options)


def _int_key() -> Any:
    return Field(sa_type=INT, primary_key=True, sa_column_kwargs={"autoincrement": False})


def _row_key() -> Any:
    return Field(sa_type=INT, primary_key=True, sa_column_kwargs={"autoincrement": False, "server_default": "0"})


def _key() -> Any:
    return Field(primary_key=True)


def _defaulted(value: TextClause) -> Any:
    return Field(sa_column_kwargs={"server_default": value})


def _text() -> Any:
    return Field(sa_type=Text)


class Meta(SQLModel, table=True):
    """Facts about this database, such as the id of its log."""

    __tablename__: ClassVar[Any] = "meta"
    key: str = _key()
    value: str


class PartitionState(SQLModel, table=True):
    """How far each partition is counted, and by whom: the row that fences."""

    __tablename__: ClassVar[Any] = "partition_state"
    topic: str = _key()
    part: int = _int_key()
    next_offset: int = _int()
    epoch: int = _int()
    owner: str
    catalog: int = _int()
    status: str = _defaulted(text("'running'"))
    tail: str = _defaulted(text("''"))


class StateBlob(SQLModel, table=True):
    """Named blobs of a model's state."""

    __tablename__: ClassVar[Any] = "state_blob"
    topic: str = _key()
    part: int = _int_key()
    model: str = _key()
    name: str = _key()
    blob: bytes


class Pane(SQLModel, table=True):
    """One space of one pane."""

    __tablename__: ClassVar[Any] = "pane"
    topic: str = _key()
    part: int = _int_key()
    model: str = _key()
    version: str = _key()
    start: int = _int_key()
    space: str = _key()
    parameters: str = _key()
    blob: bytes
    next_offset: int = _int(sa_column_kwargs={"server_default": "0"})


class LedgerRun(SQLModel, table=True):
    """Immutable sorted runs of the join ledger."""

    __tablename__: ClassVar[Any] = "ledger_run"
    topic: str = _key()
    part: int = _int_key()
    model: str = _key()
    run: int = _int_key()
    kind: str
    version: str
    rows: int = _int()
    blob: bytes


class Fate(SQLModel, table=True):
    """Intake counters."""

    __tablename__: ClassVar[Any] = "fate"
    topic: str = _key()
    part: int = _int_key()
    model: str = _key()
    pane: int = _int_key()
    counter: str = _key()
    n: int = _int()


class Inbox(SQLModel, table=True):
    """The embedded engine's log: one row holds consecutive events."""

    __tablename__: ClassVar[Any] = "inbox"
    first_offset: int = _int_key()
    count: int = _int()
    payload: bytes
    received_at: int = _int()


class DeadLetterRow(SQLModel, table=True):
    """Events that could not be counted."""

    __tablename__: ClassVar[Any] = "dead_letter"
    topic: str = _key()
    part: int = _int_key()
    offset: int = _int_key()
    row: int = _row_key()
    reason: str
    detail: str = _text()
    place: str
    model: str
    size: int = _int()
    sha256: str
    sample: bytes
    recorded_at: int = _int()


class PositionedRow(SQLModel, table=True):
    """What state folds besides events, at its place in the log. Append-only."""

    __tablename__: ClassVar[Any] = "positioned"
    __table_args__: ClassVar[Any] = (
        Index("ix_positioned_partition", "topic", "part", "seq"),
        {"sqlite_autoincrement": True},
    )
    seq: int | None = Field(default=None, sa_type=INT, primary_key=True)
    topic: str
    part: int = _int()
    kind: str
    offset: int = _int()
    body: str = _text()
    recorded_at: int = _int()


class ArtifactRow(SQLModel, table=True):
    """Model and policy files, references and evidence, compressed, by digest of their bytes. Append-only."""

    __tablename__: ClassVar[Any] = "artifact"
    digest: str = _key()
    kind: str
    data: bytes


class AuditRecord(SQLModel, table=True):
    """The audit log: `body` is the whole canonical record. Append-only."""

    __tablename__: ClassVar[Any] = "audit_record"
    stream: str = _key()
    seq: int = _int_key()
    id: str = Field(unique=True)
    kind: str
    model: str
    recorded_at: int = _int()
    body: bytes
    prev: str
    hash: str


class AuditHead(SQLModel, table=True):
    """Where each stream ends: what the next record is chained to."""

    __tablename__: ClassVar[Any] = "audit_head"
    stream: str = _key()
    size: int = _int()
    hash: str


class Checkpoint(SQLModel, table=True):
    """Signed tree heads. Append-only."""

    __tablename__: ClassVar[Any] = "checkpoint"
    origin: str = _key()
    size: int = _int_key()
    root: str
    note: bytes
    at: int = _int()


class Verdict(SQLModel, table=True):
    """Index of the verdicts: the row itself is `rows[position]` of the audit record."""

    __tablename__: ClassVar[Any] = "verdict"
    __table_args__: ClassVar[Any] = (Index("ix_verdict_latest", "latest", "model", "window_end"),)
    id: str = _key()
    revision: int = _int_key()
    final: bool
    latest: bool
    model: str
    version: str
    policy: str
    rule: str
    severity: str
    subject: str
    window_start: int = _int()
    window_end: int = _int()
    due_at: int = _int()
    verdict: str
    reason: str
    record: str
    position: int = _int()


class Alert(SQLModel, table=True):
    """The latest row of each alert."""

    __tablename__: ClassVar[Any] = "alert"
    id: str = _key()
    model: str
    version: str
    policy: str
    rule: str
    severity: str
    subject: str
    state: str
    started_at: int | None = _int(nullable=True)
    first_window: int = _int()
    row: str = _text()


class Retraining(SQLModel, table=True):
    """The latest row of each retraining request."""

    __tablename__: ClassVar[Any] = "retraining"
    id: str = _key()
    model: str
    version: str
    state: str
    proposed_at: int = _int()
    row: str = _text()


class Outbox(SQLModel, table=True):
    """What goes out, in each topic's gapless order; `value` is the structured CloudEvent."""

    __tablename__: ClassVar[Any] = "outbox"
    topic: str = _key()
    seq: int = _int_key()
    msg_id: str = Field(unique=True)
    key: str
    value: bytes
    recorded_at: int = _int()


class OutboxHead(SQLModel, table=True):
    """The last sequence given in each topic: what whoever announces waits at."""

    __tablename__: ClassVar[Any] = "outbox_head"
    topic: str = _key()
    seq: int = _int()


class RelayMark(SQLModel, table=True):
    """Up to where each stream is acknowledged by whom it was relayed to."""

    __tablename__: ClassVar[Any] = "relay_mark"
    stream: str = _key()
    seq: int = _int()
    sent_at: int = _int()


class Lease(SQLModel, table=True):
    """Who does what there is only one of."""

    __tablename__: ClassVar[Any] = "lease"
    name: str = _key()
    holder: str
    epoch: int = _int()
    expires_at: int = _int()


class JobRun(SQLModel, table=True):
    """Scheduled runs, each at most once."""

    __tablename__: ClassVar[Any] = "job_run"
    job: str = _key()
    scheduled_for: int = _int_key()
    started_at: int = _int()
    finished_at: int | None = _int(nullable=True)
    outcome: str | None = Field(default=None)


APPEND_ONLY: Final = ("artifact", "audit_record", "checkpoint", "positioned")


def table(name: str) -> Table:
    """Return the Core table of that name. Raises KeyError."""
    return SQLModel.metadata.tables[name]
