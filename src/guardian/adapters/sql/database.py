"""One database: reading and writing transactions, and what its errors mean to an engine."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError, IntegrityError

from guardian.adapters.sql.dialect import WRITE, open_engine
from guardian.engine.fates import StoreBusyError, StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

OWNER_ONLY: Final = 0o600  # Events hold what models were asked about people. SQLite gives its -wal and -shm files the same mode.
APPEND_ONLY_MARK = "is append-only"  # The words of the triggers that refuse to rewrite history.


class Database:
    """An engine with its two kinds of transaction. Safe to share between threads; connections are not."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = open_engine(url)

    @classmethod
    def at(cls, path: Path) -> Database:
        """Return the SQLite database in a file, which need not exist yet; it is then made readable by its owner alone."""
        with suppress(OSError):  # It is there, or cannot be made: SQLite says so at the first use.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
        return cls(f"sqlite:///{path}")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database. Raises StoreBusyError."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection that holds the write lock; commit on a clean exit, roll back on any exception.

        Raises StoreBusyError, after which whether it landed is unknown if the commit was under way;
        StoreRefusedError.
        """
        with (
            _translated(),
            self.engine.connect().execution_options(**{WRITE: True}) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise StoreRefusedError(f"the database refused: {error.orig}", hint="report it: nothing was written") from error
    except DBAPIError as error:
        if APPEND_ONLY_MARK in str(error.orig):
            raise StoreRefusedError(f"the database refused: {error.orig}", hint="append instead") from error
        raise StoreBusyError(
            f"the database could not be used: {error.orig}",
            hint="see that it is there, has room, and no other process holds it",
        ) from error
