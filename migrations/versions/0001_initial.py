"""The first schema: counted state, inbox, audit log, read models, outbox, leases; triggers guard what only
grows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What identifies a row of each append-only table. SQLite's REPLACE deletes without firing DELETE triggers, so
# an insert of what is there is refused as well. Where a second insert is lawful and means nothing new, it is
# left out in silence.
APPEND_ONLY = {
    "artifact": ("digest = NEW.digest", "IGNORE"),
    "audit_record": (
        "stream = NEW.stream AND seq = NEW.seq OR id = NEW.id",
        "ABORT, 'audit_record is append-only'",
    ),
    "checkpoint": ("origin = NEW.origin AND size = NEW.size", "IGNORE"),
    "positioned": ("seq = NEW.seq", "ABORT, 'positioned is append-only'"),
}


def upgrade() -> None:
    _counted()
    _intake()
    _audit()
    _read_models()
    _scheduling()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _big() -> Any:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _int(name: str, *, key: bool = False, null: bool = False) -> sa.Column[Any]:
    if key:
        return sa.Column(name, _big(), primary_key=True, autoincrement=False)
    return sa.Column(name, _big(), nullable=null)


def _str(name: str, *, key: bool = False, null: bool = False, unique: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), primary_key=key, nullable=null, unique=unique or None)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)


def _bytes(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _bool(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _partition() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return _str("topic", key=True), _int("part", key=True)


def _counted() -> None:
    op.create_table("meta", _str("key", key=True), _str("value"))
    op.create_table(
        "partition_state",
        *_partition(),
        _int("next_offset"),
        _int("epoch"),
        _str("owner"),
        _int("catalog"),
    )
    op.create_table("state_blob", *_partition(), _str("model", key=True), _str("name", key=True), _bytes("blob"))
    op.create_table(
        "pane",
        *_partition(),
        _str("model", key=True),
        _str("version", key=True),
        _int("start", key=True),
        _str("space", key=True),
        _str("parameters", key=True),
        _bytes("blob"),
    )
    op.create_table(
        "ledger_run",
        *_partition(),
        _str("model", key=True),
        _int("run", key=True),
        _str("kind"),
        _str("version"),
        _int("rows"),
        _bytes("blob"),
    )
    op.create_table(
        "fate",
        *_partition(),
        _str("model", key=True),
        _int("pane", key=True),
        _str("counter", key=True),
        _int("n"),
    )


def _intake() -> None:
    op.create_table("inbox", _int("first_offset", key=True), _int("count"), _bytes("payload"), _int("received_at"))
    op.create_table(
        "dead_letter",
        *_partition(),
        _int("offset", key=True),
        _str("reason"),
        _text("detail"),
        _str("place"),
        _str("model"),
        _int("size"),
        _str("sha256"),
        _bytes("sample"),
        _int("recorded_at"),
    )
    op.create_table(
        "positioned",
        sa.Column("seq", _big(), primary_key=True),
        _str("topic"),
        _int("part"),
        _str("kind"),
        _int("offset"),
        _text("body"),
        _int("recorded_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_positioned_partition", "positioned", ["topic", "part", "seq"])


def _audit() -> None:
    op.create_table("artifact", _str("digest", key=True), _str("kind"), _bytes("data"))
    op.create_table(
        "audit_record",
        _str("stream", key=True),
        _int("seq", key=True),
        _str("id", unique=True),
        _str("kind"),
        _str("model"),
        _int("recorded_at"),
        _bytes("body"),
        _str("prev"),
        _str("hash"),
    )
    op.create_table("audit_head", _str("stream", key=True), _int("size"), _str("hash"))
    op.create_table(
        "checkpoint",
        _str("origin", key=True),
        _int("size", key=True),
        _str("root"),
        _bytes("note"),
        _int("at"),
    )


def _read_models() -> None:
    op.create_table(
        "verdict",
        _str("id", key=True),
        _int("revision", key=True),
        _bool("final"),
        _bool("latest"),
        *(_str(name) for name in ("model", "version", "policy", "rule", "severity", "subject")),
        *(_int(name) for name in ("window_start", "window_end", "due_at")),
        *(_str(name) for name in ("verdict", "reason", "record")),
        _int("position"),
    )
    op.create_index("ix_verdict_latest", "verdict", ["latest", "model", "window_end"])
    op.create_table(
        "alert",
        _str("id", key=True),
        *(_str(name) for name in ("model", "version", "policy", "rule", "severity", "subject", "state")),
        _int("started_at", null=True),
        _int("first_window"),
        _text("row"),
    )
    op.create_table(
        "retraining",
        _str("id", key=True),
        *(_str(name) for name in ("model", "version", "state")),
        _int("proposed_at"),
        _text("row"),
    )
    op.create_table(
        "outbox",
        _str("topic", key=True),
        _int("seq", key=True),
        _str("msg_id", unique=True),
        _str("key"),
        _bytes("value"),
        _int("recorded_at"),
    )


def _scheduling() -> None:
    op.create_table("lease", _str("name", key=True), _str("holder"), _int("epoch"), _int("expires_at"))
    op.create_table(
        "job_run",
        _str("job", key=True),
        _int("scheduled_for", key=True),
        _int("started_at"),
        _int("finished_at", null=True),
        _str("outcome", null=True),
    )


def _guard_sqlite() -> None:
    for table, (same, refusal) in APPEND_ONLY.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        op.execute(
            f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} "  # noqa: S608  # names of this file
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
            f"BEGIN SELECT RAISE({refusal}); END"
        )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION guardian_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION guardian_append_only()"
        )
