"""The schema's version: what the database has, what this release needs, and how it gets there.

Alembic is imported only when the two differ: its import costs more than most commands.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, select, text

import guardian
from guardian.adapters.sql.dialect import insert_new, without_time_limit
from guardian.adapters.sql.tables import table
from guardian.engine.fates import StoreBusyError, StoreRefusedError
from guardian.errors import NotFoundError, UnreachableError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from guardian.adapters.sql.database import Database

HEAD: Final = "0002"  # The newest revision in migrations/versions; a test compares.
LOG_ID: Final = "log_id"
LOG_ID_BYTES: Final = 8


class SchemaError(UnreachableError):
    """The database has another schema than this release reads and writes."""

    code = "db.schema"


def migrations() -> Path:
    """Return the directory of the migrations: packed into the wheel, or beside `src` in a checkout."""
    packed = Path(guardian.__file__).parent / "packed" / "migrations"
    return packed if packed.is_dir() else Path(guardian.__file__).parents[2] / "migrations"


def current(database: Database) -> str | None:
    """Return the revision that the database has; None when it has none yet."""
    with database.reading() as connection:
        return _current(connection)


def check(database: Database) -> str:
    """Return the revision when it is the one that this release needs. Raises SchemaError."""
    found = current(database)
    if found == HEAD:
        return HEAD
    if found is None or found < HEAD:
        raise SchemaError(
            f"the database has schema {found or 'none'}, this release needs {HEAD}",
            hint="run guardian db upgrade",
        )
    raise SchemaError(f"the database has schema {found}, this release knows {HEAD}", hint="use the release that upgraded it")


def upgrade(database: Database) -> str:
    """Bring the database to this release's schema, in one transaction; give it a log id; return the revision.

    Raises SchemaError when the database is newer than this release.
    """
    found = current(database)
    if found is not None and found > HEAD:
        check(database)
    if found != HEAD:
        try:
            _migrate(database)
        except (StoreBusyError, StoreRefusedError):
            if current(database) != HEAD:  # Where another process did the same at the same time, one of both fails.
                raise
    with database.writing() as connection:
        row = {"key": LOG_ID, "value": secrets.token_hex(LOG_ID_BYTES)}
        connection.execute(insert_new(connection, table("meta")), row)
    return HEAD


def stored_log_id(connection: Connection) -> str:
    """Return the id that the log was given when its database was made. Raises NotFoundError."""
    meta = table("meta")
    value = connection.execute(select(meta.c.value).where(meta.c.key == LOG_ID)).scalar()
    if value is None:
        raise NotFoundError("the database has no log id", hint="run guardian db upgrade")
    return str(value)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    value = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if value is None else str(value)


def _migrate(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()))
    with database.writing() as connection:
        without_time_limit(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
