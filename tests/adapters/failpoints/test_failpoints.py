"""Deliberate crashes: a process killed anywhere in `land` has done all of a step or nothing of it."""

import signal
import subprocess
import sys

import pytest

from guardian.adapters.failpoints import NAMES, FailpointStore, parse_failpoints, with_failpoints
from guardian.adapters.memory.store import MemoryStore
from guardian.adapters.sql import schema
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.engine.land import land
from guardian.errors import UsageError
from guardian.testing.contracts import NOW, P, effects

STEPS = """
import sys
from guardian.adapters.failpoints import with_failpoints
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.engine.land import land
from guardian.testing.contracts import NOW, P, effects

store = with_failpoints(SqlStore(Database(sys.argv[1])))
claim = store.claim(P, "me")
for step in range(claim.next_offset + 1, 4):
    claim = land(store, claim, step, effects(step), NOW)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_process_killed_in_its_second_step_goes_on_where_it_was(tmp_path, name):
    database = Database.at(tmp_path / "guardian.db")
    schema.upgrade(database)
    store = SqlStore(database)
    run = [sys.executable, "-c", STEPS, str(database.engine.url)]
    killed = subprocess.run(run, env={"GUARDIAN_FAILPOINTS": f"{name}:1@2"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    landed = 2 if name == "after_commit" else 1
    assert store.claim(P, "look").next_offset == landed
    assert len(store.load(P).panes) == len(store.outbox("alerts")) == landed
    subprocess.run(run, env={}, check=True)
    assert list(store.load(P).panes) == [pane for step in (1, 2, 3) for pane in effects(step).panes]
    assert [row.seq for row in store.outbox("alerts")] == [1, 2, 3]
    database.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_place_is_passed_once_a_step(name):
    deaths = []
    store = FailpointStore(MemoryStore(), parse_failpoints(f"{name}:1@2"), die=lambda: deaths.append(name))
    claim = store.claim(P, "me")
    for step in (1, 2, 3):
        claim = land(store, claim, step, effects(step), NOW)
    assert deaths == [name]


def test_a_chance_of_nothing_never_dies_and_one_always():
    deaths = []
    store = FailpointStore(MemoryStore(), parse_failpoints("after_cas:0,before_commit:1"), die=lambda: deaths.append(1))
    claim = store.claim(P, "me")
    for step in (1, 2, 3):
        claim = land(store, claim, step, effects(step), NOW)
    assert len(deaths) == 3


def test_without_failpoints_the_store_is_the_store(monkeypatch):
    monkeypatch.delenv("GUARDIAN_FAILPOINTS", raising=False)
    store = MemoryStore()
    assert with_failpoints(store) is store


@pytest.mark.parametrize("text", ["after_cas", "after_cas:2", "nowhere:1", "after_cas:1@", "after_cas:-1"])
def test_what_is_no_failpoint_is_refused(text):
    with pytest.raises(UsageError, match="GUARDIAN_FAILPOINTS"):
        parse_failpoints(text)
