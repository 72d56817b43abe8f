"""PostgreSQL as tests get it: real, empty, durable, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from services.postgres import Postgres
from services.process import ServiceError, children_of, is_alive

TOOLS = Path(__file__).parents[2] / "tools"


def test_a_database_answers_and_is_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert connection.execute(tables).fetchone() == (0,)


def test_what_was_committed_outlives_a_kill(own_postgres: Postgres) -> None:
    url = own_postgres.create_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    processes = [own_postgres.pid, *children_of(own_postgres.pid)]
    assert len(processes) > 1
    own_postgres.kill()
    assert not any(map(is_alive, processes))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    own_postgres.restart()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_nothing_is_left_after_the_end(own_postgres: Postgres) -> None:
    with Postgres() as server:
        processes = [server.pid, *children_of(server.pid)]
        assert server.port != own_postgres.port
    assert not any(map(is_alive, processes))
    assert not server.folder.exists()
    with pytest.raises(ServiceError, match="is not running"):
        _ = server.pid


def test_the_server_does_not_outlive_a_killed_owner(own_postgres: Postgres) -> None:
    script = "from services.postgres import Postgres\np = Postgres(); p.start(); print(p.pid, p.folder, flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(TOOLS)}
    owner = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with owner:
        pid, folder = owner.stdout.readline().split()
        processes = [int(pid), *children_of(int(pid))]
        assert len(processes) > 1
        owner.send_signal(signal.SIGKILL)
    while any(map(is_alive, processes)):
        time.sleep(0.05)
    subprocess.run(["rm", "-r", folder], check=True)
