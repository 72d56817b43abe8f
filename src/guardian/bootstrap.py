"""Composition root: which adapters a process runs with. Everything heavy is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.errors import NotFoundError

if TYPE_CHECKING:
    from guardian.adapters.sql.database import Database
    from guardian.adapters.sql.reader import Reader
    from guardian.adapters.sql.store import SqlStore
    from guardian.config import Home
    from guardian.engine.audit_port import AuditLog
    from guardian.engine.ports import Log


def open_database(home: Home) -> Database:
    """Open the home's database, which must have this release's schema.

    Raises NotFoundError when there is none; SchemaError when it must be upgraded first.
    """
    from guardian.adapters.sql import schema
    from guardian.adapters.sql.database import Database

    if not home.database.is_file():
        raise NotFoundError(f"there is no database in {home.root}", hint="run guardian init, or name the directory with --home")
    database = Database.at(home.database)
    schema.check(database)
    return database


def upgrade_database(home: Home) -> str:
    """Make the home's database, or bring it to this release's schema; return the revision."""
    from guardian.adapters.sql import schema
    from guardian.adapters.sql.database import Database

    database = Database.at(home.database)
    try:
        return schema.upgrade(database)
    finally:
        database.close()


def open_store(home: Home) -> SqlStore:
    """Return the store, the leases and the job runs of a home; behind failpoints where the environment asks for them."""
    from guardian.adapters.failpoints import with_failpoints
    from guardian.adapters.sql.store import SqlStore

    store: SqlStore = with_failpoints(SqlStore(open_database(home)))
    return store


def open_log(home: Home) -> Log:
    """Return the embedded engine's log."""
    from guardian.adapters.sql.inbox import SqlInbox

    return SqlInbox(open_database(home))


def open_audit_log(home: Home) -> AuditLog:
    """Return the audit log, for reading and signing."""
    from guardian.adapters.sql.audit_log import SqlAuditLog

    return SqlAuditLog(open_database(home))


def open_reader(home: Home) -> Reader:
    """Return what `guardian get` reads."""
    from guardian.adapters.sql.reader import Reader

    return Reader(open_database(home))
