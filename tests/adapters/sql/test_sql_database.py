"""What a file of SQLite promises: settings, triggers, schema, and a consistent prefix after a lost tail."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from guardian.adapters.sql import dialect, schema
from guardian.adapters.sql.audit_log import SqlAuditLog
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.adapters.sql.tables import APPEND_ONLY
from guardian.audit.leaf import FIRST_PREV, leaf_hash
from guardian.engine.fates import Fate, StoreBusyError, StoreRefusedError, fate_of
from guardian.engine.land import land
from guardian.testing.contracts import NOW, P, effects


@pytest.fixture
def database(sqlite_database):
    return sqlite_database


@pytest.fixture
def filled(database):
    store = SqlStore(database)
    land(store, store.claim(P, "me"), 5, effects(1), NOW)
    with store.begin() as transaction:
        transaction.add_positioned(P, "idle-tick", 5, {}, NOW)
    SqlAuditLog(database).put_checkpoint("guardian/x/control", 1, "root", b"note", NOW)
    return database


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", dialect.BUSY_TIMEOUT_MS)],
)
@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_every_connection_is_set_up(database, kind, pragma, value):
    with getattr(database, kind)() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_a_new_database_is_its_owners_alone(tmp_path):
    database = Database.at(tmp_path / "new.db")
    schema.upgrade(database)
    found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    database.close()
    assert found == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_a_write_holds_the_lock_from_its_first_statement(database):
    with database.writing():
        other = sqlite3.connect(database.engine.url.database, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_a_locked_database_is_busy_and_to_be_tried_again(database, monkeypatch):
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_MS", 10)
    impatient = Database(str(database.engine.url))
    with database.writing(), pytest.raises(StoreBusyError) as caught, impatient.writing():
        pass
    assert fate_of(caught.value) is Fate.RETRY
    impatient.close()


def test_readers_see_one_state_while_another_writes(filled):
    store, log = SqlStore(filled), SqlAuditLog(filled)
    with log.snapshot():
        assert len(list(log.rows())) == 1
        land(store, store.claim(P, "me"), 6, effects(2), NOW)
        assert len(list(log.rows())) == 1
        assert [head.size for head in log.heads()] == [1]
    assert len(list(log.rows())) == 2


ROWS = {
    "artifact": "('{key}', 'evidence', x'00')",
    "audit_record": "('decisions/m', 0, '{key}', 'k', 'm', 0, x'00', '', '')",
    "checkpoint": "('guardian/x/control', 1, '{key}', x'00', 0)",
    "positioned": "(1, 'inbox', 0, '{key}', 0, '', 0)",
}


def _contents(connection, table):
    return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE {table} SET {column} = 'x'",
        "UPDATE OR REPLACE {table} SET {column} = 'x'",
        "DELETE FROM {table}",
        "REPLACE INTO {table} VALUES {row}",
        "INSERT INTO {table} VALUES {row} ON CONFLICT DO UPDATE SET {column} = 'x'",
    ],
)
def test_the_database_itself_refuses_to_rewrite_history(filled, table, attack):
    connection = sqlite3.connect(filled.engine.url.database, isolation_level=None)
    before = _contents(connection, table)
    assert len(before) == 1
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    row = ROWS[table].format(key=before[0][0])
    try:
        connection.execute(attack.format(table=table, column=columns[-1], row=row))
    except sqlite3.IntegrityError as error:
        assert "is append-only" in str(error)  # noqa: PT017
    assert _contents(connection, table) == before
    connection.close()


def test_rewriting_history_through_the_store_is_refused(filled):
    with pytest.raises(StoreRefusedError, match="append-only") as caught, filled.writing() as connection:
        connection.exec_driver_sql("DELETE FROM audit_record")
    assert fate_of(caught.value) is Fate.STOP


def test_the_models_are_what_the_migrations_make(database):
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_every_append_only_table_has_its_three_triggers(database):
    with database.reading() as connection:
        found = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars())
    assert found == {f"{table}_refuses_{verb}" for table in APPEND_ONLY for verb in ("update", "delete", "replace")}


def test_the_head_is_the_newest_migration():
    assert ScriptDirectory(str(schema.migrations())).get_current_head() == schema.HEAD


def test_an_empty_file_must_be_upgraded_and_stays_what_it_is(tmp_path):
    database = Database.at(tmp_path / "new.db")
    assert schema.current(database) is None
    with pytest.raises(schema.SchemaError, match="guardian db upgrade"):
        schema.check(database)
    assert schema.upgrade(database) == schema.check(database) == schema.HEAD
    name = SqlAuditLog(database).log_id()
    schema.upgrade(database)
    assert SqlAuditLog(database).log_id() == name
    database.close()


def test_a_newer_database_is_left_alone(database):
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for attempt in (schema.check, schema.upgrade):
        with pytest.raises(schema.SchemaError, match="use the release that upgraded it"):
            attempt(database)


def test_a_failed_migration_leaves_nothing(tmp_path, monkeypatch):
    broken = tmp_path / "migrations"
    shutil.copytree(schema.migrations(), broken)
    script = broken / "versions" / "0001_initial.py"
    script.write_text(script.read_text().replace("    _scheduling()\n", "    raise RuntimeError\n"))
    monkeypatch.setattr(schema, "migrations", lambda: broken)
    database = Database.at(tmp_path / "new.db")
    with pytest.raises(RuntimeError):
        schema.upgrade(database)
    assert schema.current(database) is None
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar() == 0
    database.close()


def test_a_lost_tail_of_the_write_ahead_log_leaves_a_consistent_prefix(database, tmp_path):
    """Goal: after power loss, position, state, audit log and outbox are of one step. Method: 20 cuts at random bytes."""
    store = SqlStore(database)
    claim = store.claim(P, "me")
    for step in range(1, 9):
        claim = land(store, claim, step, effects(step), NOW)
    source = Path(database.engine.url.database)
    data, wal = source.read_bytes(), source.with_name(source.name + "-wal").read_bytes()
    assert len(wal) > 100_000
    rng, survived = random.Random(5), set()
    for cut in (0, len(wal), *(rng.randrange(len(wal)) for _ in range(18))):
        copy = tmp_path / f"cut-{cut}.db"
        copy.write_bytes(data)
        copy.with_name(copy.name + "-wal").write_bytes(wal[:cut])
        survived.add(_prefix_of(Database.at(copy)))
    assert {0, 8} < survived


def _prefix_of(database):
    store, log = SqlStore(database), SqlAuditLog(database)
    offset = store.claim(P, "after the crash").next_offset
    state, want = store.load(P), [effects(step) for step in range(1, offset + 1)]
    assert list(state.panes) == [one for step in want for one in step.panes]
    assert list(state.fates) == [one for step in want for one in step.fates]
    assert [blob.blob for blob in state.states] == [b"clock %d" % offset][: len(want)]
    assert [row.seq for row in store.outbox("alerts")] == list(range(1, offset + 1))
    prev = FIRST_PREV
    for row in log.rows():
        assert row.prev == prev
        prev = row.hash
        assert leaf_hash(row.body_bytes).hex() == prev
    assert [(head.size, head.hash) for head in log.heads()] == [(offset, prev)][: len(want)]
    database.close()
    return offset
