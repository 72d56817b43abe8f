"""A database file as `guardian init` makes it."""

import pytest

from guardian.adapters.sql import schema
from guardian.adapters.sql.database import Database


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """An upgraded database without content; copying it is cheaper than migrating."""
    path = tmp_path_factory.mktemp("sql") / "empty.db"
    database = Database.at(path)
    schema.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path.read_bytes()


@pytest.fixture
def database(empty, tmp_path):
    path = tmp_path / "guardian.db"
    path.write_bytes(empty)
    database = Database.at(path)
    yield database
    database.close()
