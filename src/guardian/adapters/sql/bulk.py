"""Inserting many plain rows: by COPY where the database is PostgreSQL, else by one prepared INSERT run over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Boolean, LargeBinary, insert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Table
    from sqlalchemy.types import TypeEngine

COPY_FROM: Final = 4  # Rows from which COPY is worth its two answers of the server.


def bulk_insert(connection: Connection, into: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows that name the same columns; a row that is there already is refused."""
    listed = list(rows)
    if not listed:
        return
    if connection.dialect.name == "postgresql" and len(listed) >= COPY_FROM:
        _copy(connection, into, listed)
    else:
        run(connection, insert(into), listed)


def run(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    """Run a statement for each row; for a single row in the one exchange with the server that it takes."""
    connection.execute(statement, rows if len(rows) > 1 else rows[0])


def _copy(connection: Connection, into: Table, rows: list[dict[str, Any]]) -> None:
    from psycopg.sql import SQL, Identifier

    names = list(rows[0])
    columns = SQL(", ").join(map(Identifier, names))
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(Identifier(into.name), columns)
    # The raw cursor is in the same transaction: it is the one connection that everything else goes through.
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types([_type_name(into.c[name].type) for name in names])
        for row in rows:
            copy.write_row([row[name] for name in names])


def _type_name(kind: TypeEngine[Any]) -> str:
    match kind:
        case LargeBinary():
            return "bytea"
        case Boolean():
            return "bool"
        case BigInteger():
            return "int8"
        case _:
            return "varchar"
