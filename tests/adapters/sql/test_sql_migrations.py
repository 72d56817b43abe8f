"""The schema on both databases: models and migrations agree, and a database of the release before goes on with what it holds."""

import subprocess
import sys
import time
from contextlib import contextmanager

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from guardian.adapters.sql import schema
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.reader import Filter, Reader
from guardian.adapters.sql.store import SqlStore
from guardian.engine.land import land
from guardian.engine.outgoing import NO_LETTER, letter_place
from guardian.engine.ports import Claim, Standing
from guardian.testing.contracts import NOW, P, effects, said

# What the release before wrote: rows of its tables as they were.
BEFORE = """
INSERT INTO partition_state (topic, part, next_offset, epoch, owner, catalog) VALUES ('inbox', 0, 5, 2, 'me', 1);
INSERT INTO pane (topic, part, model, version, start, space, parameters, blob)
VALUES ('inbox', 0, 'm', '1', 1, 'inputs', 'p', {blob});
INSERT INTO dead_letter (topic, part, "offset", reason, detail, place, model, size, sha256, sample, recorded_at)
VALUES ('inbox', 0, 1, 'not-json', 'it is not', '$', '', 3, 's', {blob}, 7),
       ('inbox', 0, 4, 'other', '', '', 'm', 1, 't', {blob}, 8);
INSERT INTO outbox (topic, seq, msg_id, key, value, recorded_at)
VALUES ('alerts', 1, 'a', 'm', {blob}, 1), ('alerts', 2, 'b', 'm', {blob}, 1), ('audit', 1, 'c', 'm', {blob}, 1);
INSERT INTO positioned (topic, part, kind, "offset", body, recorded_at) VALUES ('inbox', 0, 'activation', 0, '{{}}', 1);
INSERT INTO lease (name, holder, epoch, expires_at) VALUES ('judge/m', 'me', 3, 9)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request, tmp_path):
    """A database with nothing in it."""
    if request.param == "sqlite":
        database = Database.at(tmp_path / "fresh.db")
    else:
        database = Database.at_url(request.getfixturevalue("postgres_url"))
    yield database
    database.close()


def blob_of(database):
    return "x'616263'" if database.engine.dialect.name == "sqlite" else "'\\x616263'"


def test_a_database_of_the_release_before_goes_on(fresh, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(schema, "HEAD", "0001")
        schema.upgrade(fresh)
        with fresh.writing() as connection:
            for statement in BEFORE.format(blob=blob_of(fresh)).split(";"):
                connection.exec_driver_sql(statement)
    assert schema.upgrade(fresh) == schema.check(fresh) == schema.HEAD == "0002"
    store, claim = SqlStore(fresh), Claim(P, 2, 5, 1)
    assert store.standings("inbox") == [Standing(claim, "running", "", "me")]
    assert [pane.blob for pane in store.load(P).panes] == [b"abc"]
    assert [pane.blob for _, pane in store.gather("inbox", "m", {}, None).panes] == [b"abc"]
    letters = store.dead_letters_after(P, *letter_place(NO_LETTER), 10)
    assert [(kept.letter.offset, kept.letter.row, kept.letter.sha256, kept.recorded_at) for kept in letters] == [
        (1, 0, "s", 7),
        (4, 0, "t", 8),
    ]
    assert [row["offset"] for row in Reader(fresh).dead_letters(Filter())] == [1, 4]
    assert store.acquire("judge/m", "me", 10, 10) == 4
    assert store.outbox_topics() == ["alerts", "audit"]
    again = effects(6)
    again.announcements += [said("b"), said("d", "audit")]
    land(store, claim, 6, again, NOW)
    assert [(row.seq, row.msg_id) for row in store.outbox("alerts")] == [(1, "a"), (2, "b"), (3, "alert-6")]
    assert [(row.seq, row.msg_id) for row in store.outbox("audit")] == [(1, "c"), (2, "d")]
    assert_models_are_the_schema(fresh)


def test_the_models_are_what_the_migrations_make(database):
    assert_models_are_the_schema(database)


def assert_models_are_the_schema(database):
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        inspected = context.connection.dialect.get_pk_constraint
        for name, table in SQLModel.metadata.tables.items():
            assert inspected(connection, name)["constrained_columns"] == [column.name for column in table.primary_key]


UPGRADE = """
import sys
from guardian.adapters.sql import schema
from guardian.adapters.sql.database import Database
print(schema.upgrade(Database(sys.argv[1])))
"""

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_two_that_upgrade_at_once_both_end_with_the_schema(fresh, monkeypatch):
    """The other process finds nothing, and this one commits while it waits."""
    url = fresh.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", UPGRADE, url]
    writing, others = fresh.writing, []

    @contextmanager
    def and_hold():
        with writing() as connection:
            yield connection
            others.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            while fresh.engine.dialect.name == "postgresql" and not _waits(url):
                time.sleep(0.01)

    monkeypatch.setattr(fresh, "writing", and_hold)
    schema._migrate(fresh)
    monkeypatch.undo()
    (other,) = others
    said, complaint = other.communicate()
    assert (said.strip(), other.returncode) == (schema.HEAD, 0), complaint
    assert_models_are_the_schema(fresh)


def _waits(url):
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return connection.execute(WAITING).fetchone()[0]


def test_every_name_in_postgresql_is_ordered_by_code_points(postgresql_database):
    with postgresql_database.reading() as connection:
        others = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND data_type = 'character varying' AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'alembic_version'"
        )
        assert others.all() == []
        order = "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('a'), ('B')) AS t (x)"
        assert connection.exec_driver_sql(order).scalar() == "aB"  # What its database would do by itself.
