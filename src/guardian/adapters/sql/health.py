"""Whether a database is fit to be written to: its triggers, a write that is taken back, its clock, its leases."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, text

from guardian.adapters.sql.dialect import insert_new
from guardian.adapters.sql.tables import APPEND_ONLY, table
from guardian.engine.doctor import LeaseRow

if TYPE_CHECKING:
    from guardian.adapters.sql.database import Database

PROBE: Final = "doctor"  # A key of `meta` that is never kept.
_VERBS: Final = ("update", "delete", "replace")
_TRIGGERS: Final = {
    "sqlite": ("SELECT name FROM sqlite_master WHERE type = 'trigger'", tuple(f"{{}}_refuses_{verb}" for verb in _VERBS)),
    "postgresql": ("SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A')", ("{}_append_only",)),
}


class _TakenBackError(Exception):
    pass


def missing_triggers(database: Database) -> list[str]:
    """Return the triggers that keep history from being rewritten and are not there, or are switched off."""
    query, names = _TRIGGERS[database.engine.dialect.name]
    with database.reading() as connection:
        there = set(connection.execute(text(query)).scalars())
    return [name.format(each) for each in APPEND_ONLY for name in names if name.format(each) not in there]


def probe_write(database: Database) -> None:
    """Write a row and take it back. Raises StoreBusyError or StoreRefusedError when that cannot be done."""
    with suppress(_TakenBackError), database.writing() as connection:
        connection.execute(insert_new(connection, table("meta")), {"key": PROBE, "value": ""})
        raise _TakenBackError


def server_time(database: Database) -> int | None:
    """Return what time the database's server has, UTC milliseconds; None where it is this machine's, as with SQLite."""
    if database.engine.dialect.name == "sqlite":
        return None
    with database.reading() as connection:
        return int(connection.execute(select(func.extract("epoch", func.clock_timestamp()) * 1_000)).scalar_one())


def leases(database: Database) -> list[LeaseRow]:
    """Return every lease that was ever taken, by name."""
    lease = table("lease")
    with database.reading() as connection:
        query = select(lease.c.name, lease.c.holder, lease.c.expires_at).order_by(lease.c.name)
        return [LeaseRow(*row) for row in connection.execute(query)]
