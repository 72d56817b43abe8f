"""What a log of several partitions needs: status and tail of a partition, panes by the offset they were written at, rows within a
record, the last sequence of each outgoing topic, and how far it was relayed. On PostgreSQL text is ordered by code points.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Tables of 0001 with text in them. PostgreSQL orders text as its database was told to; SQLite and Python order by code points.
TEXTS = (
    "meta", "partition_state", "state_blob", "pane", "ledger_run", "fate", "dead_letter", "positioned", "artifact",
    "audit_record", "audit_head", "checkpoint", "verdict", "alert", "retraining", "outbox", "lease", "job_run",
)  # fmt: skip
# What is written often and is dense already: PostgreSQL need not try to compress it.
BLOBS = (("state_blob", "blob"), ("pane", "blob"), ("ledger_run", "blob"), ("artifact", "data"), ("inbox", "payload"))
LETTER = (
    "topic", "part", '"offset"', "reason", "detail", "place", "model", "size", "sha256", "sample", "recorded_at",
)  # fmt: skip


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if not is_sqlite:
        _order_by_code_points()
        _store_blobs_as_they_are()
    op.add_column("partition_state", sa.Column("status", _string(), nullable=False, server_default="running"))
    op.add_column("partition_state", sa.Column("tail", _string(), nullable=False, server_default=""))
    op.add_column("pane", sa.Column("next_offset", _big(), nullable=False, server_default="0"))
    if is_sqlite:
        _copy_dead_letters()
    else:
        _widen_dead_letters()
    op.create_table("outbox_head", sa.Column("topic", _string(), primary_key=True), sa.Column("seq", _big(), nullable=False))
    op.execute("INSERT INTO outbox_head (topic, seq) SELECT topic, max(seq) FROM outbox GROUP BY topic")
    op.create_table(
        "relay_mark",
        sa.Column("stream", _string(), primary_key=True),
        sa.Column("seq", _big(), nullable=False),
        sa.Column("sent_at", _big(), nullable=False),
    )


def _big() -> Any:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _string() -> Any:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def _row() -> sa.Column[Any]:
    return sa.Column("row", _big(), primary_key=True, autoincrement=False, nullable=False, server_default="0")


def _order_by_code_points() -> None:
    columns = sa.inspect(op.get_bind())
    for table in TEXTS:
        names = [column["name"] for column in columns.get_columns(table) if type(column["type"]) is sa.VARCHAR]
        changes = ", ".join(f'ALTER COLUMN "{name}" TYPE varchar COLLATE "C"' for name in names)
        op.execute(f'ALTER TABLE "{table}" {changes}')


def _store_blobs_as_they_are() -> None:
    for table, column in BLOBS:
        op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STORAGE EXTERNAL')


def _widen_dead_letters() -> None:
    op.add_column("dead_letter", _row())
    op.drop_constraint("dead_letter_pkey", "dead_letter", type_="primary")
    op.create_primary_key("dead_letter_pkey", "dead_letter", ["topic", "part", "offset", "row"])


def _copy_dead_letters() -> None:
    # SQLite cannot change a primary key: the rows move to a table of the new shape, which then takes the name.
    op.create_table(
        "dead_letter_new",
        sa.Column("topic", _string(), primary_key=True),
        sa.Column("part", _big(), primary_key=True, autoincrement=False),
        sa.Column("offset", _big(), primary_key=True, autoincrement=False),
        _row(),
        sa.Column("reason", _string(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("place", _string(), nullable=False),
        sa.Column("model", _string(), nullable=False),
        sa.Column("size", _big(), nullable=False),
        sa.Column("sha256", _string(), nullable=False),
        sa.Column("sample", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", _big(), nullable=False),
    )
    names = ", ".join(LETTER)
    op.execute(f"INSERT INTO dead_letter_new ({names}) SELECT {names} FROM dead_letter")  # noqa: S608  # names of this file
    op.drop_table("dead_letter")
    op.rename_table("dead_letter_new", "dead_letter")
