"""What every adapter of a port does, written once. An adapter's test class inherits a contract and gives its fixtures."""

# ruff: noqa: D102 - a test is told by its name
from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from guardian.audit.leaf import FIRST_PREV, leaf_hash
from guardian.canonical import digest
from guardian.effects import (
    Announcement,
    Artifact,
    DeadLetter,
    Effects,
    Fates,
    PaneWrite,
    Record,
    RunDrop,
    RunWrite,
    StateWrite,
)
from guardian.engine.fates import FencedError, StoreRefusedError
from guardian.engine.land import land
from guardian.engine.ports import Partition
from guardian.errors import InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from guardian.engine.lease import JobRuns, Leases
    from guardian.engine.ports import Log

P: Final = Partition("inbox", 0)
OTHER: Final = Partition("inbox", 1)
NOW: Final = 1_700_000_000_000


@contextlib.contextmanager
def raises(kind: type[BaseException]) -> Any:
    """Fail unless the block raises `kind`."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def effects(step: int, stream: str = "decisions/m") -> Effects:
    """Return one of everything, told apart by `step`."""
    return Effects(
        panes=[PaneWrite("m", "1", step, "inputs", "p", b"pane %d" % step)],
        runs=[RunWrite("m", step, "labels", "", 3, b"run %d" % step)],
        fates=[Fates("m", step, {"received": step, "late": 1})],
        states=[StateWrite("m", "clock", b"clock %d" % step)],
        dead_letters=[DeadLetter(step, "not-json", "it is not", "$", "", 3, "s", b"abc")],
        artifacts=[Artifact(digest(b"evidence %d" % step), "evidence", b"evidence %d" % step)],
        records=[Record(stream, "verdicts", f"record-{step}", "m", {"step": step})],
        announcements=[said(f"alert-{step}")],
    )


def said(name: str, topic: str = "alerts") -> Announcement:
    """Return an announcement."""
    return Announcement(topic, "m", "io.guardian.alert.v1", name, "m/1", NOW, {"name": name})


def refused(store: Any, claim: Any) -> None:
    """Fail unless the claim is stale, and a step under it leaves nothing."""
    with raises(FencedError):
        land(store, claim, claim.next_offset + 1, effects(7), NOW)
    assert not store.load(P).panes
    assert not list(store.rows())


class StoreContract:
    """What every `engine.ports.Store` does, its audit log and its outbox included; each adapter gives `store`."""

    def test_what_landed_is_loaded(self, store: Any) -> None:
        claim = land(store, store.claim(P, "me"), 5, effects(1), NOW)
        state = store.load(P)
        assert claim.next_offset == 5
        assert list(state.panes) == effects(1).panes
        assert list(state.runs) == effects(1).runs
        assert list(state.fates) == effects(1).fates
        assert list(state.states) == effects(1).states
        assert store.artifact(effects(1).artifacts[0].digest) == b"evidence 1"
        assert store.claim(P, "me").next_offset == 5

    def test_partitions_do_not_see_each_other(self, store: Any) -> None:
        land(store, store.claim(P, "me"), 5, effects(1), NOW)
        state = store.load(OTHER)
        assert not (*state.panes, *state.runs, *state.fates, *state.states)
        assert store.claim(OTHER, "me").next_offset == 0

    def test_a_later_write_replaces(self, store: Any) -> None:
        claim = land(store, store.claim(P, "me"), 5, effects(1), NOW)
        again = Effects(
            panes=[replace(effects(1).panes[0], blob=b"new")],
            states=[StateWrite("m", "clock", b"1"), StateWrite("m", "clock", b"2")],
            fates=[Fates("m", 1, {"received": 9})],
        )
        land(store, claim, 6, again, NOW)
        state = store.load(P)
        assert [pane.blob for pane in state.panes] == [b"new"]
        assert [blob.blob for blob in state.states] == [b"2"]
        assert list(state.fates) == [Fates("m", 1, {"received": 9, "late": 1})]

    def test_runs_are_merged_away(self, store: Any) -> None:
        claim = land(store, store.claim(P, "me"), 5, effects(1), NOW)
        merged = Effects(
            runs=[RunWrite("m", n, "labels", "", 1, b"") for n in (2, 3)], dropped_runs=[RunDrop("m", n) for n in (1, 2)]
        )
        land(store, claim, 6, merged, NOW)
        assert [run.run for run in store.load(P).runs] == [3]

    def test_a_claim_fences_the_one_before(self, store: Any) -> None:
        old = store.claim(P, "zombie")
        new = store.claim(P, "me")
        assert new.epoch > old.epoch
        refused(store, old)

    def test_a_step_lands_once(self, store: Any) -> None:
        claim = store.claim(P, "me")
        land(store, claim, 5, Effects(), NOW)
        refused(store, claim)

    def test_a_raised_catalog_fences(self, store: Any) -> None:
        claim = store.claim(P, "me")
        with store.begin() as transaction:
            assert transaction.raise_catalog(P) == claim.catalog + 1
        refused(store, claim)
        assert store.claim(P, "me").catalog == claim.catalog + 1

    def test_a_claim_of_nothing_stored_is_stale(self, store: Any) -> None:
        refused(store, replace(store.claim(P, "me"), partition=OTHER))

    def test_a_step_may_not_go_back(self, store: Any) -> None:
        claim = land(store, store.claim(P, "me"), 5, Effects(), NOW)
        with raises(InvalidStateError):
            land(store, claim, 4, effects(1), NOW)

    def test_a_failure_leaves_nothing(self, store: Any) -> None:
        claim = land(store, store.claim(P, "me"), 5, effects(1), NOW)
        before = self._everything(store)
        broken = effects(2)
        broken.records.append(Record("control", "x", "record-1", "", {}))
        with raises(StoreRefusedError):
            land(store, claim, 9, broken, NOW)
        assert self._everything(store) == before
        land(store, claim, 9, effects(2), NOW)
        assert [row.seq for row in store.outbox("alerts")] == [1, 2]

    def test_an_interrupted_transaction_leaves_nothing(self, store: Any) -> None:
        claim = store.claim(P, "me")
        before = self._everything(store)
        with raises(KeyboardInterrupt), store.begin() as transaction:
            assert transaction.advance(claim, 5, "")
            transaction.put_panes(P, effects(1).panes, 5)
            transaction.announce(effects(1).announcements, NOW)
            raise KeyboardInterrupt
        assert self._everything(store) == before
        land(store, claim, 5, effects(1), NOW)

    def _everything(self, store: Any) -> Any:
        return store.load(P), list(store.rows()), store.heads(), store.outbox("alerts"), list(store.positioned(P))

    def test_the_outbox_is_gapless_and_says_each_thing_once(self, store: Any) -> None:
        claim = store.claim(P, "me")
        for step, names in enumerate((["a", "b", "a"], ["b", "c"], []), start=1):
            claim = land(store, claim, step, Effects(announcements=[said(name) for name in names]), NOW)
        land(store, claim, 9, Effects(announcements=[said("d", "audit"), said("e")]), NOW)
        assert [(row.seq, row.msg_id) for row in store.outbox("alerts")] == [(1, "a"), (2, "b"), (3, "c"), (4, "e")]
        assert [(row.seq, row.msg_id) for row in store.outbox("audit")] == [(1, "d")]
        assert [row.seq for row in store.outbox("alerts", after_seq=2)] == [3, 4]
        assert [row.seq for row in store.outbox("alerts", after_seq=1, limit=1)] == [2]

    def test_records_are_chained_by_stream(self, store: Any) -> None:
        claim = store.claim(P, "me")
        for step in (1, 2):
            both = effects(step)
            both.records.append(Record("control", "activation", f"control-{step}", "", {}))
            claim = land(store, claim, step, both, NOW)
        rows = list(store.rows())
        assert [(row.stream, row.seq) for row in rows] == [("control", 0), ("control", 1), ("decisions/m", 0), ("decisions/m", 1)]
        for stream in ("control", "decisions/m"):
            prev = FIRST_PREV
            for row in store.rows(stream):
                assert row.prev == prev
                assert leaf_hash(row.body_bytes).hex() == row.hash
                prev = row.hash
            assert (stream, 2, prev) in store.heads()
        assert [row.seq for row in store.rows("control", 1)] == [1]
        assert store.find("record-2") == rows[3]
        assert store.find("nothing") is None

    def test_a_record_is_there_once(self, store: Any) -> None:
        twice = Effects(records=[effects(1).records[0]] * 2)
        with raises(StoreRefusedError):
            land(store, store.claim(P, "me"), 1, twice, NOW)

    def test_an_artifact_is_stored_once_by_its_digest(self, store: Any) -> None:
        one = effects(1).artifacts[0]
        claim = land(store, store.claim(P, "me"), 1, Effects(artifacts=[one, one]), NOW)
        land(store, claim, 2, Effects(artifacts=[replace(one, data=b"forged")]), NOW)
        assert store.artifact(one.digest) == b"evidence 1"
        with raises(NotFoundError):
            store.artifact("sha256:nothing")

    def test_positioned_records_come_in_order(self, store: Any) -> None:
        with store.begin() as transaction:
            seqs = [
                transaction.add_positioned(P, kind, at, {"at": at}, NOW) for at, kind in enumerate(("idle-tick", "activation"))
            ]
            transaction.add_positioned(OTHER, "idle-tick", 0, {}, NOW)
        assert seqs == sorted(set(seqs))
        rows = list(store.positioned(P))
        assert [(row.seq, row.kind, row.offset, row.body) for row in rows] == [
            (seqs[0], "idle-tick", 0, {"at": 0}),
            (seqs[1], "activation", 1, {"at": 1}),
        ]
        assert list(store.positioned(P, kind="activation")) == rows[1:]

    def test_a_checkpoint_is_kept_once(self, store: Any) -> None:
        store.put_checkpoint("guardian/x/control", 2, "root", b"note", NOW)
        store.put_checkpoint("guardian/x/control", 2, "forged", b"other", NOW)
        store.put_checkpoint("guardian/x/control", 1, "older", b"note", NOW)
        assert [(kept.size, kept.root) for kept in store.checkpoints()] == [(1, "older"), (2, "root")]

    def test_a_snapshot_reads(self, store: Any) -> None:
        land(store, store.claim(P, "me"), 1, effects(1), NOW)
        with store.snapshot():
            assert [head.size for head in store.heads()] == [1]
            assert len(list(store.rows())) == 1
            assert store.log_id()


class LogContract:
    """What every `engine.ports.Log` does; each adapter gives `log`, empty."""

    def test_an_empty_log_ends_at_zero(self, log: Log) -> None:
        assert log.end() == 0
        assert log.read(0, 10) == []
        assert log.append([], NOW) == 0
        assert log.read(0, 10) == []

    def test_offsets_count_events(self, log: Log) -> None:
        assert log.append([b"a", b"", b"ccc"], NOW) == 0
        assert log.append([b"d"], NOW + 1) == 3
        assert log.end() == 4
        assert self._all(log, 0) == [(0, b"a"), (1, b""), (2, b"ccc"), (3, b"d")]
        assert [delivery.received_at for delivery in log.read(0, 10)] == [NOW, NOW + 1]

    def test_reading_starts_at_any_offset_and_is_continuous(self, log: Log) -> None:
        events = [b"event %d" % n for n in range(37)]
        for start in range(0, 37, 5):
            log.append(events[start : start + 5], NOW)
        for first in range(38):
            assert self._all(log, first) == list(enumerate(events))[first:]

    def test_reading_stops_about_the_limit(self, log: Log) -> None:
        for _ in range(10):
            log.append([b"x"] * 4, NOW)
        assert sum(len(delivery.events) for delivery in log.read(1, 10)) == 11
        assert sum(len(delivery.events) for delivery in log.read(0, 8)) == 8

    def test_a_long_append_stays_whole(self, log: Log) -> None:
        events = [b"%d" % n for n in range(25_001)]
        assert log.append(events, NOW) == 0
        assert log.end() == 25_001
        assert [event for _, event in self._all(log, 24_990)] == events[24_990:]

    def _all(self, log: Log, first: int) -> list[tuple[int, bytes]]:
        out: list[tuple[int, bytes]] = []
        while deliveries := log.read(first, 7):
            for delivery in deliveries:
                assert delivery.first_offset == first
                out += enumerate(delivery.events, start=first)
                first += len(delivery.events)
        return out


class LeaseContract:
    """What every `engine.lease.Leases` does; each adapter gives `leases`."""

    def test_a_lease_names_its_holder_until_it_is_released(self, leases: Leases) -> None:
        assert leases.holder("judge/m") == ""
        epoch = leases.acquire("judge/m", "a", 1_000, NOW)
        assert epoch is not None
        assert leases.holder("judge/m") == "a"
        leases.release("judge/m", "a", epoch)
        assert leases.holder("judge/m") == ""

    def test_one_holder_at_a_time(self, leases: Leases) -> None:
        assert leases.acquire("judge/m", "a", 1_000, NOW) == 1
        assert leases.acquire("judge/m", "b", 1_000, NOW + 999) is None
        assert leases.acquire("judge/other", "b", 1_000, NOW) == 1

    def test_a_lapsed_lease_goes_to_the_next(self, leases: Leases) -> None:
        leases.acquire("judge/m", "a", 1_000, NOW)
        assert leases.acquire("judge/m", "b", 1_000, NOW + 1_000) == 2
        assert not leases.renew("judge/m", "a", 1, 1_000, NOW + 1_001)

    def test_a_holder_that_starts_again_fences_itself(self, leases: Leases) -> None:
        leases.acquire("judge/m", "a", 1_000, NOW)
        assert leases.acquire("judge/m", "a", 1_000, NOW + 1) == 2
        assert not leases.renew("judge/m", "a", 1, 1_000, NOW + 2)
        assert leases.renew("judge/m", "a", 2, 1_000, NOW + 2)

    def test_renewing_holds_on(self, leases: Leases) -> None:
        leases.acquire("judge/m", "a", 1_000, NOW)
        assert leases.renew("judge/m", "a", 1, 1_000, NOW + 900)
        assert leases.acquire("judge/m", "b", 1_000, NOW + 1_500) is None
        assert not leases.renew("judge/m", "a", 1, 1_000, NOW + 1_900)

    def test_epochs_rise_over_a_release(self, leases: Leases) -> None:
        leases.acquire("judge/m", "a", 1_000, NOW)
        leases.release("judge/m", "b", 1)
        assert leases.acquire("judge/m", "b", 1_000, NOW + 1) is None
        leases.release("judge/m", "a", 1)
        assert leases.acquire("judge/m", "b", 1_000, NOW + 1) == 2


class JobRunContract:
    """What every `engine.lease.JobRuns` does; each adapter gives `runs`."""

    def test_a_run_is_taken_once(self, runs: JobRuns) -> None:
        assert runs.start_run("checkpoint", NOW, NOW + 5)
        assert not runs.start_run("checkpoint", NOW, NOW + 6)
        runs.finish_run("checkpoint", NOW, NOW + 7, "done")
        assert not runs.start_run("checkpoint", NOW, NOW + 8)
        assert runs.start_run("checkpoint", NOW + 1, NOW + 9)
        assert runs.start_run("tick", NOW, NOW)
