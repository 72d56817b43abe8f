"""Where databases differ: opening them, locking for a write, and inserting what may be there.

Everything else in this package is portable Core. SQLite gets WAL with `synchronous=FULL`, because what was
published must not be lost with the last commits on power loss; every write begins with BEGIN IMMEDIATE,
because a read that turns into a write fails at once, without waiting, when somebody else wrote in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection, Engine, Table

BUSY_TIMEOUT_MS: Final = 30_000  # How long a write waits for another; then it is `store.busy`.
CACHE_KIB: Final = 64 * 1024  # Of pages, per connection.
PAGE_BYTES: Final = (
    8192  # Of a new database. Most of what is written is blobs: half as many pages of them, half the time to land.
)
WRITE: Final = "guardian_write"  # Execution option of connections that will write.


def open_engine(url: str) -> Engine:
    """Return an engine for a database URL; nothing is read yet."""
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy's documented workaround: sqlite3 begins transactions by itself, late and DEFERRED, unless
    # told not to.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def insert_new(connection: Connection, table: Table) -> Any:
    """Return an insert that leaves rows alone whose primary key is there already."""
    return _insert(connection, table).on_conflict_do_nothing()


def upsert(connection: Connection, table: Table, *, only: Callable[[Any], Any] | None = None) -> Any:
    """Return an insert that replaces the row of the same primary key; `only` where its condition on the new row holds."""
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    values = {name: statement.excluded[name] for name in _names(table) if name not in keys}
    where = None if only is None else only(statement.excluded)
    return statement.on_conflict_do_update(index_elements=keys, set_=values, where=where)


def _insert(connection: Connection, table: Table) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _names(table: Table) -> Iterable[str]:
    return (column.name for column in table.columns)
