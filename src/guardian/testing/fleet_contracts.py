"""What every store does for a log of several partitions, and for whoever relays what leaves."""

# ruff: noqa: D102 - a test is told by its name
from __future__ import annotations

from dataclasses import replace
from typing import Any

from guardian.effects import Effects, Record, StateWrite
from guardian.engine.fates import StoreRefusedError
from guardian.engine.land import land
from guardian.engine.outgoing import NO_LETTER, KeptLetter, letter_mark, letter_place
from guardian.engine.ports import Claim, Gathered, Partition, Standing
from guardian.errors import InvalidStateError
from guardian.testing.contracts import NOW, OTHER, P, effects, raises, refused, said


class FleetContract:
    """Standings, locks, gathering, dead letters in order, marks; each adapter gives `store`."""

    def test_a_log_has_the_partitions_it_had(self, store: Any) -> None:
        assert store.standings("events") == []
        for _ in range(2):
            store.ensure_partitions("events", 3)
        assert [standing.claim.partition.number for standing in store.standings("events")] == [0, 1, 2]
        for count in (2, 4):
            with raises(InvalidStateError):
                store.ensure_partitions("events", count)
        assert len(store.standings("events")) == 3
        assert not store.standings("inbox")

    def test_a_partition_that_was_claimed_alone_is_no_whole_log(self, store: Any) -> None:
        store.claim(Partition("events", 0), "me")
        with raises(InvalidStateError):
            store.ensure_partitions("events", 2)
        store.ensure_partitions("events", 1)

    def test_a_standing_says_where_how_and_by_whom(self, store: Any) -> None:
        store.ensure_partitions("inbox", 2)
        assert store.standings("inbox") == [Standing(Claim(of, 0, 0, 0), "running", "", "") for of in (P, OTHER)]
        claim = land(store, store.claim(P, "me"), 5, Effects(), NOW, tail="sha256:five")
        assert store.standings("inbox")[0] == Standing(claim, "running", "sha256:five", "me")
        claim = land(store, claim, 6, Effects(), NOW)
        with store.begin() as transaction:
            transaction.set_status(P, "halted")
        assert store.standings("inbox")[0] == Standing(claim, "halted", "sha256:five", "me")
        store.claim(P, "another")
        assert [(standing.status, standing.owner) for standing in store.standings("inbox")] == [
            ("halted", "another"),
            ("running", ""),
        ]
        with store.begin() as transaction:
            transaction.set_status(P, "running")
        assert store.standings("inbox")[0].status == "running"

    def test_a_lock_makes_what_is_missing_and_answers_in_the_order_asked(self, store: Any) -> None:
        claim = land(store, store.claim(P, "me"), 5, Effects(), NOW)
        judge = Partition("judge/m", 0)
        with store.begin() as transaction:
            held = transaction.lock([OTHER, judge, P])
            assert [standing.claim for standing in held] == [Claim(OTHER, 0, 0, 0), Claim(judge, 0, 0, 0), claim]
            for partition in (P, OTHER, judge):
                transaction.raise_catalog(partition)
        refused(store, claim)
        assert store.position(judge) == Claim(judge, 0, 0, 1)

    def test_clocks_are_those_of_the_model_and_the_log(self, store: Any) -> None:
        store.ensure_partitions("inbox", 3)
        for partition in (P, OTHER, Partition("else", 0)):
            blobs = [StateWrite("m", "clock", b"%d" % partition.number), StateWrite("m", "x", b""), StateWrite("n", "clock", b"")]
            land(store, store.claim(partition, "me"), 1, Effects(states=blobs), NOW)
        with store.begin() as transaction:
            assert transaction.clocks("inbox", "m") == {0: b"0", 1: b"1"}
            assert transaction.clocks("inbox", "other") == {}

    def test_a_judge_gathers_what_was_written_since(self, store: Any) -> None:
        store.ensure_partitions("inbox", 3)
        claims = {of: land(store, store.claim(of, "me"), 3, effects(of.number + 1), NOW) for of in (P, OTHER)}
        whole = store.gather("inbox", "m", {}, None)
        first, second = effects(1).panes[0], effects(2).panes[0]
        assert whole.offsets == {0: 3, 1: 3, 2: 0}
        assert whole.clocks == {0: b"clock 1", 1: b"clock 2"}
        assert list(whole.panes) == [(0, first), (1, second)]
        assert list(store.gather("inbox", "m", {}, 2).panes) == [(1, second)]
        assert not store.gather("inbox", "m", whole.offsets, None).panes
        land(store, claims[P], 7, Effects(panes=[second, replace(first, model="n")]), NOW)
        since = store.gather("inbox", "m", whole.offsets, None)
        assert (since.offsets, list(since.panes)) == ({0: 7, 1: 3, 2: 0}, [(0, second)])
        assert list(store.gather("inbox", "m", {0: 7}, None).panes) == [(1, second)]
        assert store.gather("nowhere", "m", {}, None) == Gathered({}, {}, [])

    def test_dead_letters_leave_in_the_order_of_their_places(self, store: Any) -> None:
        letters = [replace(effects(offset).dead_letters[0], row=row) for offset, row in ((7, 1), (3, 0), (7, 0), (9, 2))]
        claim = land(store, store.claim(P, "me"), 10, Effects(dead_letters=letters), NOW)
        land(store, store.claim(OTHER, "me"), 10, Effects(dead_letters=letters[:1]), NOW)
        kept = store.dead_letters_after(P, *letter_place(NO_LETTER), 10)
        assert kept == [KeptLetter(letters[at], NOW) for at in (1, 2, 0, 3)]
        for at, (letter, _) in enumerate(kept):
            after = letter_place(letter_mark(letter.offset, letter.row))
            assert store.dead_letters_after(P, *after, 10) == kept[at + 1 :]
            assert store.dead_letters_after(P, *after, 1) == kept[at + 1 : at + 2]
        with raises(StoreRefusedError):
            land(store, claim, 11, Effects(dead_letters=letters[:1]), NOW)

    def test_a_mark_only_rises(self, store: Any) -> None:
        assert store.marks() == {}
        for seq, kept in ((5, 5), (3, 5), (8, 8)):
            store.mark("outbox/alerts", seq, NOW)
            assert store.marks() == {"outbox/alerts": kept}
        store.mark("deadletter/events/0", letter_mark(1 << 40, 3), NOW)
        assert store.marks() == {"outbox/alerts": 8, "deadletter/events/0": letter_mark(1 << 40, 3)}

    def test_topics_are_named_once_something_was_said(self, store: Any) -> None:
        assert store.outbox_topics() == []
        words = [said("a"), said("b", "audit"), said("c", "Zed")]
        land(store, store.claim(P, "me"), 1, Effects(announcements=words), NOW)
        assert store.outbox_topics() == ["Zed", "alerts", "audit"]

    def test_names_are_in_order_of_code_points(self, store: Any) -> None:
        names = ["Zed", "_x", "a b", "a-b", "ab", "b", "\u00e9", "\U0001f600"]
        streams = ["B/a", "a-b", "a.b", "a/b", "ab", "a_b"]
        assert names == sorted(names)
        states = [StateWrite(name, "clock", b"") for name in reversed(names)]
        records = [Record(stream, "x", stream, "m", {}) for stream in reversed(streams)]
        land(store, store.claim(P, "me"), 1, Effects(states=states, records=records), NOW)
        assert [state.model for state in store.load(P).states] == names
        assert [record.stream for record in store.rows()] == sorted(streams)
        assert [head.stream for head in store.heads()] == sorted(streams)
