"""Where databases differ: opening them, locking for a write, and inserting what may be there.

Everything else in this package is portable Core. SQLite gets WAL with `synchronous=FULL`, because what was
published must not be lost with the last commits on power loss; every write begins with BEGIN IMMEDIATE,
because a read that turns into a write fails at once, without waiting, when somebody else wrote in between.

PostgreSQL gets `synchronous_commit=on` for the same reason. Writes are READ COMMITTED: a statement that had to wait for a row
sees what the other made of it, which is what compare-and-swap wants. Reads are REPEATABLE READ, READ ONLY: one state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError

from guardian.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import URL, Connection, Engine, Table

BUSY_TIMEOUT_MS: Final = 30_000  # How long a write waits for another; then it is `store.busy`.
CACHE_KIB: Final = 64 * 1024  # Of pages, per connection.
PAGE_BYTES: Final = (
    8192  # Of a new database. Most of what is written is blobs: half as many pages of them, half the time to land.
)
WRITE: Final = "guardian_write"  # Execution option of connections that will write.

CONNECT_TIMEOUT_S: Final = 10
IDLE_WRITE_MS: Final = 60_000  # A process that stops in the middle of a write holds its locks no longer than this.
SESSION: Final = {
    "synchronous_commit": "on",
    "lock_timeout": f"{BUSY_TIMEOUT_MS}ms",
    "statement_timeout": "5min",
    "timezone": "UTC",
}
# What the network must do within half a minute: acknowledge what is sent, and answer when nothing comes back.
NETWORK: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}


def open_engine(url: str) -> Engine:
    """Return an engine for a database URL; nothing is read yet. Raises UnreachableError when the URL is none."""
    at = _parse(url)
    return _open_sqlite(at) if at.get_backend_name() == "sqlite" else _open_postgresql(at)


def _parse(url: str) -> URL:
    try:
        at = make_url(url)
    except (ArgumentError, ValueError):  # Its text may hold a password, and is not repeated; nor is the error that quotes it.
        at = None
    if at is None or at.get_backend_name() not in {"sqlite", "postgresql"}:
        raise UnreachableError(
            "the database's URL cannot be read",
            hint="write postgresql://USER:PASSWORD@HOST:PORT/NAME, in it %40 for @ and %2F for / in a password",
        )
    return at


def _open_sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgresql(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "guardian", **NETWORK},
        pool_pre_ping=True,  # A server that was started anew is noticed before the first statement.
        pool_use_lifo=True,
    )
    event.listen(engine, "connect", _set_up_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_postgresql(connection: Any, _record: object) -> None:
    connection.autocommit = True
    connection.cursor().executemany("SELECT set_config(%s, %s, false)", list(SESSION.items()))
    connection.autocommit = False


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITE, False):
        idle = "SELECT set_config('idle_in_transaction_session_timeout', %(ms)s, true)"  # SET takes no parameters.
        connection.exec_driver_sql(idle, {"ms": str(IDLE_WRITE_MS)})


def options(engine: Engine, *, write: bool) -> dict[str, Any]:
    """Return the execution options of a connection that reads one state, or that writes."""
    if engine.dialect.name == "sqlite":
        return {WRITE: write}
    if write:
        return {WRITE: True, "isolation_level": "READ COMMITTED"}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def without_time_limit(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need; waiting for locks stays bounded."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def hold_inbox(connection: Connection) -> None:
    """Let nobody else append to the inbox until the transaction ends. In SQLite every write does that."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE inbox IN EXCLUSIVE MODE")


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


def insert_or_touch(connection: Connection, table: Table) -> Any:
    """Return an insert that leaves the row of the same primary key as it is, but locks it and can return it."""
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_={keys[0]: table.c[keys[0]]})


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
