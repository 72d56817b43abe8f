"""A server that cannot be reached, is killed, or does not answer: busy, nothing half-landed, and no password told."""

import socket
import threading
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import make_url

from guardian.adapters.sql import schema
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.engine.fates import Fate, FencedError, StoreBusyError, fate_of
from guardian.engine.land import land
from guardian.errors import UnreachableError
from guardian.testing.contracts import NOW, P, effects


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@127.0.0.1:1/n",
        "postgresql://u:s3cret@no.such.host.invalid/n",
        "postgresql://u:s3%2Fcret@127.0.0.1:1/n",
    ],
)
def test_who_cannot_be_reached_is_busy_and_the_password_is_not_told(url):
    database = Database.at_url(url)
    with pytest.raises(StoreBusyError) as caught:
        schema.check(database)
    assert "cret" not in str(caught.value)
    assert "cret" not in database.name
    assert database.name.startswith("postgresql://u:***@")


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@h:port/n", "mysql://u:s3cret@h/n", "s3cret"])
def test_what_is_no_url_is_said_without_repeating_it(url):
    with pytest.raises(UnreachableError) as caught:
        Database.at_url(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_wrong_password_is_not_told(own_postgres):
    with psycopg.connect(own_postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE known LOGIN PASSWORD 'right'")
        folder = connection.execute("SHOW data_directory").fetchone()[0]
    rules = own_postgres.folder / "data" / "pg_hba.conf"
    assert str(rules.parent) == folder
    rules.write_text("host all known 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
    own_postgres.restart()
    url = own_postgres.url("postgres").replace(
        "postgresql://guardian@", "postgresql://known:known@"
    )  # What the server repeats is the name.
    database = Database.at_url(url)
    with pytest.raises(StoreBusyError, match="password authentication failed") as caught:
        schema.current(database)
    assert "known" not in str(caught.value)
    database.close()


def test_a_killed_server_is_busy_and_what_landed_is_there_when_it_is_back(own_postgres):
    """Goal: between and in the middle of transactions, nothing half-landed, the same objects go on. Method: kill -9, restart."""
    database = Database.at_url(own_postgres.create_database("guardian"))
    schema.upgrade(database)
    store = SqlStore(database)
    claim = land(store, store.claim(P, "me"), 1, effects(1), NOW)

    own_postgres.kill()
    for _ in range(2):
        with pytest.raises(StoreBusyError) as caught:
            land(store, claim, 2, effects(2), NOW)
        assert fate_of(caught.value) is Fate.RETRY
        with pytest.raises(StoreBusyError):
            store.standings("inbox")
    own_postgres.start()
    claim = land(store, claim, 2, effects(2), NOW)

    rows = [replace(effects(3).dead_letters[0], row=row) for row in range(50)]
    for write in (
        lambda transaction: transaction.announce(effects(3).announcements, NOW),
        lambda transaction: transaction.put_dead_letters(P, rows, NOW),  # By COPY, which goes past SQLAlchemy.
        lambda _: None,  # Nothing but the commit.
    ):
        with pytest.raises(StoreBusyError):
            _killed_before(own_postgres, store, claim, write)
        own_postgres.start()
        assert store.position(P) == claim
    assert land(store, store.claim(P, "me"), 3, effects(3), NOW).next_offset == 3
    assert list(store.load(P).panes) == [pane for step in (1, 2, 3) for pane in effects(step).panes]
    assert [row.seq for row in store.outbox("alerts")] == [1, 2, 3]
    database.close()


def _killed_before(server, store, claim, write):
    with store.begin() as transaction:
        assert transaction.advance(claim, claim.next_offset + 1, "")
        transaction.put_panes(P, effects(3).panes, 3)
        server.kill()
        write(transaction)


COMMIT = b"\x0bCOMMIT\0"  # With its length before it; BEGIN names READ COMMITTED.


class Cut:
    """Between a client and a server: of one commit the server's answer is kept back, and both are hung up on."""

    def __init__(self, port):
        self._server = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.armed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listening.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                commit = threading.Event()
                for args in ((client, server, commit, False), (server, client, commit, True)):
                    threading.Thread(target=self._pass, args=args, daemon=True).start()

    def _pass(self, source, sink, commit, answers):
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if answers and commit.is_set():
                    break
                if not answers and self.armed.is_set() and COMMIT in data:
                    self.armed.clear()
                    commit.set()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # Wakes whoever reads it, which closing would not.
            end.close()


def test_a_commit_whose_answer_is_lost_is_busy_and_has_landed(postgresql_url, postgresql_database):
    store = SqlStore(postgresql_database)
    at = make_url(postgresql_url)
    between = Cut(at.port)
    far = SqlStore(Database.at_url(at.set(host="127.0.0.1", port=between.port).render_as_string(hide_password=False)))
    claim = land(far, far.claim(P, "me"), 1, effects(1), NOW)
    between.armed.set()
    with pytest.raises(StoreBusyError) as caught:
        land(far, claim, 2, effects(2), NOW)
    assert fate_of(caught.value) is Fate.RETRY
    assert store.position(P).next_offset == 2
    with pytest.raises(FencedError):
        land(far, claim, 2, effects(2), NOW)
    again = far.claim(P, "me")
    assert land(far, again, 3, effects(3), NOW).next_offset == 3
    assert [row.seq for row in far.outbox("alerts")] == [1, 2, 3]
    far.close()
    between.close()
