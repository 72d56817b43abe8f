"""One database: reading and writing transactions, and what its errors mean to an engine."""

from __future__ import annotations

import os
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from guardian.adapters.sql.dialect import open_engine, options
from guardian.engine.fates import StoreBusyError, StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

OWNER_ONLY: Final = 0o600  # Events hold what models were asked about people. SQLite gives its -wal and -shm files the same mode.
SECRETS: Final = ("password", "sslpassword")  # Options of a URL that are never repeated.
APPEND_ONLY_MARK = "is append-only"  # The words of the triggers that refuse to rewrite history.


class Database:
    """An engine with its two kinds of transaction. Safe to share between threads; connections are not."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = open_engine(url)
        weakref.finalize(self, self.engine.dispose)  # A command ends without closing: the server is told even so.

    @classmethod
    def at(cls, path: Path) -> Database:
        """Return the SQLite database in a file, which need not exist yet; it is then made readable by its owner alone."""
        with suppress(OSError):  # It is there, or cannot be made: SQLite says so at the first use.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
        return cls(f"sqlite:///{path}")

    @classmethod
    def at_url(cls, url: str) -> Database:
        """Return the PostgreSQL database of a URL such as postgresql://USER:PASSWORD@HOST/NAME; nobody is asked yet.

        Raises UnreachableError when the URL cannot be read.
        """
        return cls(url)

    @property
    def name(self) -> str:
        """The file, or the URL without its password and its options, among which may be others."""
        url = self.engine.url
        if url.get_backend_name() == "sqlite":
            return str(url.database)
        return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database. Raises StoreBusyError."""
        with self._translated(), self._connected(write=False) as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection that may write; commit on a clean exit, roll back on any exception.

        SQLite gives one writer the whole database; PostgreSQL lets several write, each waiting where another holds a row.

        Raises StoreBusyError, after which whether it landed is unknown if the commit was under way;
        StoreRefusedError.
        """
        with self._translated(), self._connected(write=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    def _connected(self, *, write: bool) -> Connection:
        return self.engine.connect().execution_options(**options(self.engine, write=write))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        driver = self.engine.dialect.loaded_dbapi
        try:
            yield
        except PoolTimeoutError as error:
            raise self._busy("every connection is in use") from error
        except DBAPIError as error:
            raise self._meaning(error.orig) from error
        except driver.Error as error:  # What COPY meets, which does not go through SQLAlchemy.
            raise self._meaning(error) from error

    def _meaning(self, error: BaseException | None) -> StoreBusyError | StoreRefusedError:
        driver = self.engine.dialect.loaded_dbapi
        said = self._without_password(str(error).strip())
        if APPEND_ONLY_MARK in said:
            return StoreRefusedError(f"the database refused: {said}", hint="append instead")
        # What the same statement would meet again. A deadlock, a lost connection or a full disk is not among them.
        if isinstance(error, (driver.IntegrityError, driver.DataError, driver.ProgrammingError, driver.NotSupportedError)):
            return StoreRefusedError(f"the database refused: {said}", hint="report it: nothing was written")
        return self._busy(said)

    def _busy(self, said: str) -> StoreBusyError:
        return StoreBusyError(
            f"the database could not be used: {said}",
            hint="see that it is there, has room, and no other process holds it",
        )

    def _without_password(self, said: str) -> str:
        url = self.engine.url
        for secret in (url.password, *(url.query.get(name) for name in SECRETS)):
            if secret:
                said = said.replace(str(secret), "***")
        return said
