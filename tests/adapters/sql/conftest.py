"""Databases as `guardian init` and `guardian db upgrade` make them: a file of SQLite, and one of a PostgreSQL server."""

import uuid

import psycopg
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
def sqlite_database(empty, tmp_path):
    path = tmp_path / "guardian.db"
    path.write_bytes(empty)
    database = Database.at(path)
    yield database
    database.close()


@pytest.fixture(scope="session")
def template(postgres):
    """The name of an upgraded database of the server, to be copied. Its language does not order text by code points."""
    name = f"guardian_template_{uuid.uuid4().hex}"
    _on(postgres, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en'")
    database = Database.at_url(postgres.url(name))
    schema.upgrade(database)
    database.close()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def postgresql_url(postgres, template):
    """The URL of an upgraded PostgreSQL database without content."""
    name = f"guardian_test_{uuid.uuid4().hex}"
    _on(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def postgresql_database(postgresql_url):
    database = Database.at_url(postgresql_url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """Either of both."""
    return request.getfixturevalue(f"{request.param}_database")


def _on(postgres, statement):
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)
