"""What only a server does: many write at once, and it may be gone in the middle of anything."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest

from guardian.adapters.sql import dialect
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.inbox import SqlInbox
from guardian.adapters.sql.store import SqlStore
from guardian.adapters.sql.tables import APPEND_ONLY
from guardian.audit.leaf import FIRST_PREV
from guardian.effects import Artifact, Effects
from guardian.engine.fates import Fate, FencedError, StoreBusyError, StoreRefusedError, fate_of
from guardian.engine.land import land
from guardian.engine.outgoing import NO_LETTER, letter_place
from guardian.engine.ports import Partition
from guardian.testing.contracts import NOW, P, effects, said

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def store(postgresql_database):
    return SqlStore(postgresql_database)


@pytest.fixture
def waits(postgresql_url):
    """Return when as many connections wait for a lock."""
    with psycopg.connect(postgresql_url, autocommit=True) as connection:

        def until(n=1):
            end = time.monotonic() + 20
            while connection.execute(WAITING).fetchone()[0] < n:
                assert time.monotonic() < end, "nobody waits"
                time.sleep(0.005)

        yield until


def at_once(*works):
    """Run each in a thread of its own, started together; return what they return or raise."""
    barrier = threading.Barrier(len(works))

    def run(work):
        barrier.wait()
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("attack", ["UPDATE {table} SET {column} = {column}", "DELETE FROM {table}", "TRUNCATE {table}"])
def test_the_database_itself_refuses_to_rewrite_history(store, table, attack):
    land(store, store.claim(P, "me"), 5, effects(1), NOW)
    with store.database.reading() as connection:
        column = connection.exec_driver_sql(
            f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' LIMIT 1"  # noqa: S608
        ).scalar()
    with pytest.raises(StoreRefusedError, match="append-only") as caught, store.database.writing() as connection:
        connection.exec_driver_sql(attack.format(table=table, column=f'"{column}"'))
    assert fate_of(caught.value) is Fate.STOP
    assert len(store.load(P).panes) == 1


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("writing", "synchronous_commit", "on"),
        ("writing", "transaction_isolation", "read committed"),
        ("writing", "transaction_read_only", "off"),
        ("writing", "lock_timeout", "30s"),
        ("writing", "statement_timeout", "5min"),
        ("writing", "idle_in_transaction_session_timeout", "1min"),
        ("reading", "transaction_isolation", "repeatable read"),
        ("reading", "transaction_read_only", "on"),
        ("reading", "idle_in_transaction_session_timeout", "0"),
    ],
)
def test_every_transaction_is_set_up(postgresql_database, kind, name, value):
    for _ in range(2):  # The second time on a connection of the pool.
        for other in ("reading", "writing", kind):
            with getattr(postgresql_database, other)() as connection:
                found = connection.exec_driver_sql(f"SHOW {name}").scalar()
        assert found == value


def test_readers_see_one_state_while_another_writes(store):
    claim = land(store, store.claim(P, "me"), 5, effects(1), NOW)
    with store.database.reading() as connection:
        count = "SELECT count(*) FROM audit_record"
        assert connection.exec_driver_sql(count).scalar() == 1
        land(store, claim, 6, effects(2), NOW)
        assert connection.exec_driver_sql(count).scalar() == 1
    with store.database.reading() as connection:
        assert connection.exec_driver_sql(count).scalar() == 2


def test_several_that_write_the_same_streams_wait_for_each_other(store):
    """Goal: gapless sequences and whole chains. Method: four partitions, the same streams and topics named in other orders."""
    store.ensure_partitions("events", 4)

    def count(number):
        claim = store.claim(Partition("events", number), "me")
        for step in range(8):
            names = [f"{number}-{step}-{n}" for n in range(3)]
            streams = ("control", "decisions/a", "decisions/b")[:: 1 if number % 2 else -1]
            topics = ("alerts", "audit", "requests")[:: -1 if number % 2 else 1]
            records = [replace(effects(0).records[0], stream=stream, id=f"{stream}-{names[0]}") for stream in streams]
            words = [said(f"{topic}-{name}", topic) for topic in topics for name in names]
            artifacts = [Artifact(f"sha256:{step}-{n}", "evidence", b"") for n in range(30)][:: 1 if number % 2 else -1]
            claim = land(store, claim, step + 1, Effects(records=records, announcements=words, artifacts=artifacts), NOW)
        return claim.next_offset

    assert at_once(*(lambda n=n: count(n) for n in range(4))) == [8] * 4
    for topic in ("alerts", "audit", "requests"):
        assert [row.seq for row in store.outbox(topic)] == list(range(1, 4 * 8 * 3 + 1))
    with store.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT stream, seq, prev, hash FROM audit_record ORDER BY stream, seq").all()
        heads = connection.exec_driver_sql("SELECT stream, size, hash FROM audit_head ORDER BY stream").all()
    assert [(row.stream, row.seq) for row in rows] == [(head.stream, seq) for head in heads for seq in range(32)]
    for before, row in zip([None, *rows], rows, strict=False):
        assert row.prev == (FIRST_PREV if row.seq == 0 else before.hash)
    assert [head.hash for head in heads] == [row.hash for row in rows if row.seq == 31]


def test_the_same_artifacts_stored_in_other_orders_do_not_meet(store, waits):
    """Goal: no deadlock. Method: both wait at the middle one, which then is not there after all."""
    claims = [store.claim(Partition("events", number), "me") for number in range(2)]
    found = [Artifact(f"sha256:{name}", "evidence", b"") for name in "amz"]
    with ThreadPoolExecutor(2) as pool:
        with suppress(KeyboardInterrupt), store.begin() as transaction:
            transaction.put_artifacts(found[1:2])
            orders = zip(claims, (found, found[::-1]), strict=True)
            landed = [pool.submit(land, store, claim, 1, Effects(artifacts=own), NOW) for claim, own in orders]
            waits(2)
            raise KeyboardInterrupt
        assert [each.result().next_offset for each in landed] == [1, 1]


def test_what_two_say_at_once_is_said_once(store):
    claims = [store.claim(Partition("events", n), "me") for n in range(3)]
    words = Effects(announcements=[said("a"), said("b")])
    assert not [x for x in at_once(*(lambda c=c: land(store, c, 1, words, NOW) for c in claims)) if isinstance(x, Exception)]
    assert [(row.seq, row.msg_id) for row in store.outbox("alerts")] == [(1, "a"), (2, "b")]


def test_of_two_steps_of_one_claim_one_lands(store, waits):
    """Compare-and-swap looks again at what the other made of the row it waited for."""
    claim = store.claim(P, "me")
    with store.begin() as transaction:
        assert transaction.advance(claim, 5, "")
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(land, store, claim, 7, effects(1), NOW)
            waits()
            transaction.put_states(P, effects(2).states)
            transaction._connection.commit()
            with pytest.raises(FencedError):
                other.result()
    assert store.position(P).next_offset == 5
    assert [state.blob for state in store.load(P).states] == [b"clock 2"]


def test_claims_taken_at_once_have_each_an_epoch(store):
    for number in range(5):
        claims = at_once(*(lambda n=n: store.claim(Partition("events", number), f"w{n}") for n in range(4)))  # noqa: B023
        assert sorted(claim.epoch for claim in claims) == [1, 2, 3, 4]
        last = max(claims, key=lambda claim: claim.epoch)
        assert store.standings("events")[number].claim == last
        assert store.standings("events")[number].owner == f"w{claims.index(last)}"


def test_a_locked_partition_is_not_advanced(store, waits):
    claim = store.claim(P, "me")
    with ThreadPoolExecutor(1) as pool:
        with store.begin() as transaction:
            transaction.lock([Partition("inbox", 1), P])
            other = pool.submit(land, store, claim, 7, effects(1), NOW)
            waits()
            transaction.raise_catalog(P)
        with pytest.raises(FencedError):
            other.result()


def test_locks_asked_for_in_other_orders_do_not_meet(store):
    of = [Partition(topic, n) for topic in ("events", "judge/m", "Z") for n in range(3)]

    def hold(order):
        for _ in range(10):
            with store.begin() as transaction:
                assert [standing.claim.partition for standing in transaction.lock(order)] == order
        return True

    assert at_once(lambda: hold(of), lambda: hold(of[::-1]), lambda: hold(of[4:] + of[:4])) == [True] * 3


def test_a_log_made_by_two_at_once_has_one_number_of_partitions(store):
    for attempt in range(6):
        topic, counts = f"events-{attempt}", (4, 8)
        outcomes = at_once(*(lambda n=n: store.ensure_partitions(topic, n) for n in counts))  # noqa: B023
        made = len(store.standings(topic))
        assert [outcome is None for outcome in outcomes] == [made == n for n in counts]
        assert at_once(*[lambda: store.ensure_partitions(topic, made)] * 3) == [None] * 3  # noqa: B023


def test_a_lease_and_a_run_are_taken_by_one(store):
    for attempt in range(10):
        name = f"judge/{attempt}"
        leases = at_once(*(lambda n=n: store.acquire(name, f"w{n}", 1_000, NOW) for n in range(4)))  # noqa: B023
        assert sorted(leases, key=str) == [1, None, None, None]
        runs = at_once(*(lambda: store.start_run("tick", NOW + attempt, NOW) for _ in range(4)))  # noqa: B023
        assert sorted(runs) == [False, False, False, True]
        assert store.holder(name) == f"w{leases.index(1)}"


def test_of_two_that_wait_for_a_lapsed_lease_one_gets_it(store, waits):
    store.acquire("judge/m", "gone", 1_000, NOW)
    with ThreadPoolExecutor(2) as pool:
        with store.database.writing() as connection:
            connection.exec_driver_sql("SELECT 1 FROM lease FOR UPDATE")
            taken = [pool.submit(store.acquire, "judge/m", name, 1_000, NOW + 1_000) for name in "ab"]
            waits(2)
        assert sorted((each.result() for each in taken), key=str) == [2, None]


def test_marks_set_at_once_end_at_the_greatest(store):
    at_once(*(lambda n=n: [store.mark("s", seq, NOW) for seq in range(n, 40, 4)] for n in range(4)))
    assert store.marks() == {"s": 39}


def test_appends_at_once_are_continuous(postgresql_database):
    log = SqlInbox(postgresql_database)
    at_once(*(lambda n=n: [log.append([b"%d" % n] * 3, NOW) for _ in range(10)] for n in range(4)))
    events = [(d.first_offset + i, event) for d in log.read(0, 1_000) for i, event in enumerate(d.events)]
    assert [offset for offset, _ in events] == list(range(120))
    assert sorted(event for _, event in events) == sorted(b"%d" % (n % 4) for n in range(120))


def test_a_deadlock_is_busy_and_to_be_tried_again(store, waits):
    lock = "SELECT 1 FROM lease WHERE name = '{}' FOR UPDATE"
    for name in "ab":
        store.acquire(name, "me", 1_000, NOW)
    first_has, second_has = threading.Event(), threading.Event()

    def first():
        with store.database.writing() as connection:
            connection.exec_driver_sql(lock.format("a"))
            first_has.set()
            second_has.wait()
            connection.exec_driver_sql(lock.format("b"))

    def second():
        with store.database.writing() as connection:
            first_has.wait()
            connection.exec_driver_sql(lock.format("b"))
            second_has.set()
            waits()
            connection.exec_driver_sql(lock.format("a"))

    outcomes = [outcome for outcome in at_once(first, second) if outcome is not None]
    assert [type(outcome) for outcome in outcomes] == [StoreBusyError]
    assert fate_of(outcomes[0]) is Fate.RETRY
    assert "deadlock" in str(outcomes[0])


def test_a_lock_that_is_not_given_is_busy(store, monkeypatch, postgresql_url):
    monkeypatch.setitem(dialect.SESSION, "lock_timeout", "50ms")
    claim = store.claim(P, "me")
    impatient = SqlStore(Database.at_url(postgresql_url))
    with store.begin() as transaction:
        assert transaction.lock([P])
        with pytest.raises(StoreBusyError, match="lock timeout"):
            land(impatient, claim, 5, effects(1), NOW)
    assert land(impatient, claim, 5, effects(1), NOW).next_offset == 5
    impatient.close()


def test_a_writer_that_stands_still_loses_its_locks(store, monkeypatch, postgresql_url):
    monkeypatch.setattr(dialect, "IDLE_WRITE_MS", 50)
    claim = store.claim(P, "me")
    still = SqlStore(Database.at_url(postgresql_url))

    def stand_still():
        with still.begin() as transaction:
            assert transaction.advance(claim, 5, "")
            land(store, claim, 7, effects(1), NOW)  # Waits until the server has ended the other.
            transaction.put_states(P, effects(2).states)

    with pytest.raises(StoreBusyError):
        stand_still()
    assert store.position(P).next_offset == 7
    assert len(still.load(P).panes) == 1
    still.close()


@pytest.mark.parametrize("rows", [1, 50])
def test_what_the_database_refuses_is_refused_by_copy_too(store, rows):
    claim = land(store, store.claim(P, "me"), 5, effects(1), NOW)
    letters = [replace(effects(1).dead_letters[0], row=row) for row in range(rows)]
    with pytest.raises(StoreRefusedError, match="dead_letter_pkey"):
        land(store, claim, 6, Effects(dead_letters=letters), NOW)
    assert land(store, claim, 6, effects(2), NOW).next_offset == 6


@pytest.mark.parametrize("rows", [1, 50])
def test_letters_of_strangers_are_kept_whatever_they_wrote(store, rows):
    odd = replace(effects(1).dead_letters[0], model="a\0b", detail="\0", place="$.\0", sample=bytes(range(256)), size=1 << 62)
    letters = [replace(odd, row=row) for row in range(rows)]
    land(store, store.claim(P, "me"), 5, Effects(dead_letters=letters), NOW)
    kept = store.dead_letters_after(P, *letter_place(NO_LETTER), rows)
    assert [k.letter.row for k in kept] == list(range(rows))
    assert kept[0].letter == replace(
        odd, model="a\N{REPLACEMENT CHARACTER}b", detail="\N{REPLACEMENT CHARACTER}", place="$.\ufffd"
    )
