"""A fleet in memory: what it comes to is what the embedded engine comes to, and what only a fleet has to deal with."""

import json

import pytest

from guardian.audit.verify import verify
from guardian.canonical import canonical
from guardian.decisions.retraining import RequestState, WrongStateError
from guardian.engine.activation import activate
from guardian.engine.counting import Counting
from guardian.engine.decide import Decision, decide
from guardian.engine.ending import finalise, is_drained
from guardian.engine.fates import FencedError, StoreBusyError
from guardian.engine.halt import UNKNOWN_TAIL, resume
from guardian.engine.judging import ModelJudge, seat_of
from guardian.engine.lease import HELD_MS
from guardian.engine.partition_reader import AGAIN_AFTER_MS, HELD_BYTES_MAX
from guardian.engine.ports import Partition
from guardian.engine.results import take_result
from guardian.engine.topics import COMPLETED_TYPE
from guardian.errors import GuardianError, NotFoundError
from guardian.policies.load import PolicySet
from guardian.testing.fleets import TOPIC, FleetWorld
from guardian.testing.refold import panes_of
from guardian.testing.simulated_ending import compare_with_embedded, compare_with_refold
from guardian.testing.simulated_log import SimulatedRecord
from guardian.testing.stories import DRIFT, POLICIES, START, Plot, References, files, label, model, policy
from guardian.units import HOUR_MS, MINUTE_MS

PLOTS = {
    "drifting": Plot(),
    "two versions": Plot(seed=3, hours=12, an_hour=10, versions=("1", "2")),
    "silent hours": Plot(seed=11, an_hour=10, quiet=frozenset({4, 5})),
    "few": Plot(seed=5, hours=3, an_hour=2),
}
SMALL = Plot(seed=2, hours=4, an_hour=10)


def counted(world: FleetWorld) -> dict:
    return {partition: list(log.now.records.values()) for partition, log in world.logs.items()}


@pytest.mark.parametrize(
    ("name", "partitions"),
    [
        ("drifting", 1),
        ("drifting", 4),
        ("two versions", 2),
        ("two versions", 5),
        ("silent hours", 3),
        *(("few", n) for n in range(1, 6)),
    ],
)
def test_a_fleet_comes_to_what_the_embedded_engine_comes_to(name, partitions):
    events = [said.event for said in PLOTS[name].events()]
    world = FleetWorld(partitions, batch=(7, 1_000)[partitions % 2])
    world.run(events)
    merged = {Partition("any", 0): [SimulatedRecord(i, world.wall, None, event, i) for i, event in enumerate(events)]}
    compare_with_embedded(world.store.tables, merged, files())
    compare_with_refold(world.store.tables, counted(world), lambda _number: None, live=False)
    assert verify(world.store.rows(), heads=world.store.heads()).ok


@pytest.mark.parametrize("batch", [1, 13])
def test_how_many_records_a_step_takes_changes_nothing(batch):
    few, many = FleetWorld(batch=batch), FleetWorld(batch=1_000)
    assert few.run(SMALL.events()).finals == many.run(SMALL.events()).finals
    assert panes_of(few.store.tables) == panes_of(many.store.tables)
    assert few.worker.fleet.counted == many.worker.fleet.counted == len(SMALL.events())


def test_a_judgement_says_where_counting_stood():
    world = FleetWorld(2)
    world.run(SMALL.events())
    ends = {f"{TOPIC}/{partition.number}": log.now.end for partition, log in world.logs.items()}
    assert world.recorded("verdicts")[-1]["offsets"] == ends


class TestEnding:
    def test_what_is_not_counted_yet_is_not_ended(self):
        world = FleetWorld(2).judge().tell(SMALL.events())
        ends = {partition.number: log.now.end for partition, log in world.logs.items()}
        assert not is_drained(world.store.standings(TOPIC), ends)
        assert not finalise(world.store, TOPIC, ends, world.wall)
        world.count()
        assert is_drained(world.store.standings(TOPIC), ends)
        assert finalise(world.store, TOPIC, ends, world.wall)

    def test_a_second_end_changes_nothing(self):
        world = FleetWorld(2)
        before = world.run(SMALL.events())
        heads = world.store.heads()
        world.end()
        assert world.store.heads() == heads
        assert world.outcome() == before

    def test_nothing_of_an_unknown_log_is_drained(self):
        assert not finalise(FleetWorld().store, "other", {0: 0}, 0)
        assert not is_drained([], {})


class TestLiveClock:
    """Where nothing comes, a live clock moves on by the wall clock, in each partition by itself."""

    SPEC = model(clock="live", idle_after="1h")

    def world(self, partitions: int = 3) -> FleetWorld:
        return FleetWorld(partitions, tick_every_ms=1_000, files=lambda: files(self.SPEC), wall=START + 4 * HOUR_MS)

    def tick(self, world: FleetWorld, ms: int) -> None:
        world.wall += ms
        world.worker.turn()
        world.judge()

    def test_silence_is_judged_and_recorded(self):
        world = self.world().judge().tell(SMALL.events()).count().judge()
        judged = len(world.recorded("verdicts"))
        self.tick(world, 59 * MINUTE_MS)
        assert world.recorded("idle-tick") == []
        self.tick(world, HOUR_MS)
        ticks = world.recorded("idle-tick")
        assert [tick["partition"] for tick in ticks] == [0, 1, 2]
        assert len({tick["clock"] for tick in ticks}) == 1
        assert all(tick["clock"] <= world.wall - 30 * MINUTE_MS for tick in ticks)
        assert [tick["offset"] for tick in ticks] == [log.now.end for log in world.logs.values()]
        assert len(world.recorded("verdicts")) > judged

    def test_between_two_instants_there_is_nothing_to_record(self):
        world = self.world().judge().tell(SMALL.events()).count().judge()
        self.tick(world, 2 * HOUR_MS)
        heads = world.store.heads()
        self.tick(world, MINUTE_MS)
        assert world.store.heads() == heads

    def test_a_partition_without_events_holds_the_model_back_until_it_is_ticked(self):
        world = self.world(2).judge()
        mine = [said for said in SMALL.events() if world.partition_of(said.event).number == 0]
        world.tell(mine).count().judge()
        assert world.recorded("verdicts") == []
        self.tick(world, 2 * HOUR_MS)
        assert {tick["partition"] for tick in world.recorded("idle-tick")} == {0, 1}
        assert world.recorded("verdicts") != []

    def test_nothing_is_ticked_before_the_first_event_of_all(self):
        world = self.world().judge()
        self.tick(world, 9 * HOUR_MS)
        assert world.recorded("idle-tick") == []

    def test_what_waits_is_counted_before_a_tick(self):
        world = self.world(1).judge().tell(SMALL.events()).count().judge()
        fleet = world.worker.fleet
        world.wall += 3 * HOUR_MS
        world.tell([label("c-0-0", START + 4 * HOUR_MS, "yes")])
        log = world.logs[world.log[0]]
        assert fleet.deliver(world.log[0], log.fetch(log.now.end - 1, 1)) is None
        fleet.work()
        assert world.recorded("idle-tick") == []

    def test_state_after_ticks_is_that_of_the_positions(self):
        world = self.world().judge().tell(SMALL.events()).count().judge()
        self.tick(world, 2 * HOUR_MS)
        world.tell([label("c-0-0", START + 4 * HOUR_MS, "yes")]).count().judge().end()
        compare_with_refold(world.store.tables, counted(world), lambda _number: None, live=True)


class TestAnotherLog:
    """Offsets that name other events than were counted."""

    def halted(self, **changes) -> FleetWorld:
        """Return a world whose only partition was made again: shorter, or with other content."""
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        log = world.logs[world.log[0]]
        keep = list(log.now.records.values())
        log.recreate()
        events = [record.value for record in keep][: changes.get("first")]
        if changes.get("other"):
            events[-1] = label("c-9-9", START + 4 * HOUR_MS, "no")
        for event in events:
            log.append(None, event, keep[0].timestamp, number=0)
        world.worker.assign(frozenset(world.log))
        return world.count()

    @pytest.mark.parametrize("changes", [{"first": 5}, {"other": True}], ids=["shorter", "other"])
    def test_it_is_halted_recorded_and_told(self, changes):
        world = self.halted(**changes)
        (standing,) = world.store.standings(TOPIC)
        assert standing.status == "halted"
        assert [halt["offset"] for halt in world.recorded("halted")] == [standing.claim.next_offset]
        (alert,) = [row for row in world.outcome().alerts.values() if row["policy"] == "guardian"]
        assert (alert["rule"], alert["state"], alert["subject"]) == ("LogHalted", "firing", {"partition": f"{TOPIC}/0"})
        assert [row.key for row in world.store.outbox("alerts") if json.loads(row.value)["data"]["id"] == alert["id"]] == [""]
        assert not world.worker.fleet.wants(world.log[0])

    def test_the_same_log_again_is_read_on(self):
        world = self.halted()
        assert world.store.standings(TOPIC)[0].status == "running"

    def test_nothing_of_it_is_counted_whoever_takes_it_over(self):
        world = self.halted(other=True)
        before = world.store.position(world.log[0]).next_offset
        world.worker = world.new_worker("worker-2")
        world.tell([label("c-0-0", START + 4 * HOUR_MS, "yes")]).count()
        assert world.store.position(world.log[0]).next_offset == before
        assert len(world.recorded("halted")) == 1

    def test_a_hole_where_a_record_was_counted_is_another_log_too(self):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        (partition,), end = world.log, world.logs[world.log[0]].now.end
        world.worker.assign(frozenset(world.log))
        world.worker.turn()
        later = [SimulatedRecord(end + i, 0, None, b"{}") for i in range(3)]
        assert world.worker.fleet.deliver(partition, later[1:]) == end - 1
        assert world.worker.fleet.deliver(partition, later) == end - 1  # It went on: that says nothing yet.
        assert world.store.standings(TOPIC)[0].status == "running"
        assert world.worker.fleet.deliver(partition, later) is None
        assert world.store.standings(TOPIC)[0].status == "halted"

    def test_a_delivery_that_begins_too_late_proves_nothing(self):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        (partition,), log = world.log, world.logs[world.log[0]]
        world.tell([label("c-0-0", START + 4 * HOUR_MS, "yes")])
        world.worker.assign(frozenset(world.log))
        world.worker.turn()
        end = log.now.end
        assert world.worker.fleet.deliver(partition, log.fetch(end - 1, 5)) == end - 2
        assert world.worker.fleet.deliver(partition, log.fetch(0, 3)) is None
        assert world.worker.fleet.deliver(partition, log.fetch(end - 2, 5)) is None
        world.worker.fleet.work()
        assert world.store.position(partition).next_offset == end

    def test_it_is_read_again_after_somebody_looked(self):
        world = self.halted(other=True)
        world.tell([label("c-0-0", START + 4 * HOUR_MS, "yes")]).count()
        resume(world.store, world.log[0], "ann", "restored", world.wall)
        (standing,) = world.store.standings(TOPIC)
        assert (standing.status, standing.tail) == ("running", UNKNOWN_TAIL)
        world.count()
        assert world.store.position(world.log[0]).next_offset < world.logs[world.log[0]].now.end
        world.wall += AGAIN_AFTER_MS
        world.count()
        assert world.store.position(world.log[0]).next_offset == world.logs[world.log[0]].now.end
        assert [(said["by"], said["note"]) for said in world.recorded("resumed")] == [("ann", "restored")]
        (alert,) = [row for row in world.outcome().alerts.values() if row["policy"] == "guardian"]
        assert alert["state"] == "resolved"
        assert verify(world.store.rows(), heads=world.store.heads()).ok

    def test_what_is_not_halted_cannot_be_resumed(self):
        with pytest.raises(NotFoundError):
            resume(FleetWorld(1).store, Partition(TOPIC, 0), "ann", "", 0)


class TestRetention:
    """Events that were removed before they were counted."""

    def test_a_loss_is_recorded_and_told_and_counting_goes_on(self):
        world = FleetWorld(1).judge().tell(SMALL.events()[:10]).count().tell(SMALL.events()[10:])
        log = world.logs[world.log[0]]
        log.retain(25)
        world.count()
        assert world.recorded("gap") == [{"from_offset": 10, "to_offset": 25, "reason": "retention"}]
        assert world.store.position(world.log[0]).next_offset == log.now.end
        (alert,) = [row for row in world.outcome().alerts.values() if row["policy"] == "guardian"]
        assert (alert["rule"], alert["state"]) == ("EventsLost", "firing")
        assert "15 offsets, 10 to 24" in alert["summary"]

    def test_what_was_gone_before_anything_was_counted_alerts_nobody(self):
        world = FleetWorld(1).judge().tell(SMALL.events())
        world.logs[world.log[0]].retain(5)
        world.count()
        assert world.recorded("gap") == [{"from_offset": 0, "to_offset": 5, "reason": "retention"}]
        assert not [row for row in world.outcome().alerts.values() if row["policy"] == "guardian"]

    def test_an_aborted_transaction_is_a_gap_and_an_end_of_one_is_none(self):
        world = FleetWorld(1).judge()
        log = world.logs[world.log[0]]
        for offsets, said in ((1, SMALL.events()[:3]), (4, SMALL.events()[3:6]), (0, SMALL.events()[6:9])):
            world.tell(said)
            log.leave_hole(offsets)
        world.count()
        assert world.recorded("gap") == [{"from_offset": 7, "to_offset": 11, "reason": "hole"}]
        covered = [(said["from_offset"], said["to_offset"], said["count"]) for said in world.recorded("coverage")]
        assert (covered[0][0], covered[-1][1], sum(count for _, _, count in covered)) == (0, 14, 9)
        assert verify(world.store.rows(), heads=world.store.heads()).ok


class TestFiles:
    """Files change while partitions are counted."""

    OTHER = (policy("inputs", DRIFT | {"warn": "> 0.3"}), POLICIES[1])

    def test_what_waited_under_older_files_is_counted_under_the_new_ones(self):
        events = PLOTS["drifting"].events()
        world = FleetWorld(2, batch=5).judge().tell(events[:200]).count()
        world.references.seed = 2
        fleet = world.worker.fleet
        world.tell(events[200:])
        for partition, log in world.logs.items():
            fleet.deliver(partition, log.fetch(world.store.position(partition).next_offset, 1_000))
        world.judge()
        first, second = world.recorded("activation")
        assert set(second["offsets"].values()) == {world.store.position(p).next_offset for p in world.log}
        world.count().end()
        compare_with_refold(world.store.tables, counted(world), lambda _number: None, live=False)
        assert len({key[4] for _, key in panes_of(world.store.tables)}) == 2
        assert first["digests"] != second["digests"]

    def test_a_step_that_was_counted_under_older_files_is_refused(self):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        counting = Counting(world.store, world.log[0], "me", now=lambda: 0)
        counting.take()
        held = world.store.position(world.log[0])
        activate(world.store, TOPIC, files(policies=self.OTHER), References(), 0)
        with world.store.begin() as transaction:
            assert not transaction.advance(counting.claim, held.next_offset + 1, "")
        assert world.store.position(world.log[0]).catalog == held.catalog + 1

    def test_of_two_who_activate_at_once_one_is_refused(self):
        world = FleetWorld(1).judge()

        class Overtaken(References):
            def build(self, model_file):
                activate(world.store, TOPIC, files(policies=TestFiles.OTHER), world.references, 0)
                return super().build(model_file)

        with pytest.raises(FencedError):
            activate(world.store, TOPIC, files(policies=self.OTHER), Overtaken(seed=9), 0)
        assert len(world.recorded("activation")) == 2

    def test_a_bad_set_is_refused_once_and_the_last_good_one_goes_on(self):
        world = FleetWorld(1).judge()
        world.files = lambda: PolicySet({}, {}, {}, {}, {})
        world.judge().tell(SMALL.events()).count().judge()
        (refused,) = world.recorded("activation-refused")
        assert refused["code"] == "catalog.no-models"
        assert world.recorded("verdicts")

    def test_a_model_whose_file_is_gone_is_not_watched_and_its_alerts_are_closed(self):
        world = FleetWorld(2).judge().tell(Plot(drifts=(3, 10)).events()).count().judge()
        fired = [row for row in world.outcome().alerts.values() if row["state"] == "firing"]
        assert fired
        world.files = lambda: files(model("other"), ())
        world.judge()
        assert [said["model"] for said in world.recorded("deactivation")] == ["loans"]
        assert not [row for row in world.outcome().alerts.values() if row["state"] == "firing"]
        letters = len(world.store.tables.dead_letters)
        world.tell(SMALL.events()).count().judge()
        assert len(world.store.tables.dead_letters) == letters + len(SMALL.events())


class TestJudges:
    """One judge a model, whoever it is."""

    def test_the_next_one_goes_on_where_the_last_one_stopped(self):
        events = Plot().events()
        undisturbed = FleetWorld(2).run(events)
        world = FleetWorld(2)
        for part in range(5):
            world.judge().tell(events[part * 100 : (part + 1) * 100]).count()
            world.governor.stop()
            world.governor = world.new_governor(f"judge-{part}")
        world.judge().tell(events[500:]).count().judge().end()
        assert world.outcome().finals.keys() == undisturbed.finals.keys()
        assert world.outcome().standing.keys() == undisturbed.standing.keys()

    def test_while_a_lease_is_held_nobody_else_judges(self):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        other = world.new_governor("judge-2")
        assert other.turn() is False
        world.wall += HELD_MS + 1
        assert other.turn() is True
        world.tell(PLOTS["few"].events()).count()
        assert world.governor.turn() is False

    def test_one_that_wakes_up_late_lands_nothing(self):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        judges = [ModelJudge(world.store, TOPIC, "loans", f"j{i}", now=lambda: 0, group_table=lambda *_: []) for i in range(2)]
        heads = world.store.heads()
        with pytest.raises(FencedError):
            judges[0].sit()
        assert world.store.heads() == heads
        assert judges[1].sit() is not None

    def test_a_model_that_is_not_there_is_not_judged(self):
        world = FleetWorld(1).judge()
        assert ModelJudge(world.store, TOPIC, "none", "me", now=lambda: 0, group_table=lambda *_: []).sit() is None

    def test_without_partitions_there_is_nothing_to_do(self):
        world = FleetWorld(0)
        assert world.governor.turn() is False


class TestDecisions:
    """What people and trainers say of a request, at the seat of the model's judge."""

    @pytest.fixture
    def world(self) -> FleetWorld:
        world = FleetWorld(2)
        world.run(Plot().events())
        return world

    def request(self, world: FleetWorld) -> dict:
        (row,) = world.outcome().requests.values()
        return row

    def answer(self, world: FleetWorld, **changes) -> list[str]:
        data = {"request": self.request(world)["id"], "model": "loans", "outcome": "completed", "note": "auc 0.9"} | changes
        said: list[str] = []
        event = {"type": changes.pop("type", COMPLETED_TYPE), "id": "r1", "data": data}
        take_result(world.store, canonical(event), lambda: world.wall, said.append)
        return said

    def test_a_decision_is_kept_at_the_seat_and_fences_the_judge(self, world):
        before = world.store.position(seat_of("loans"))
        found = decide(world.store, Partition(TOPIC, 0), self.request(world)["id"][:8], Decision("approve", "ann", "yes", 7))
        assert found.state is RequestState.APPROVED
        after = world.store.position(seat_of("loans"))
        assert (after.next_offset, after.catalog) == (before.next_offset, before.catalog + 1)
        assert [row.kind for row in world.store.positioned(seat_of("loans"))][-1] == "decision"
        assert "decision" not in {row.kind for row in world.store.positioned(world.log[0])}
        assert world.recorded("decision")[-1]["by"] == "ann"

    def test_the_judge_goes_on_with_what_was_decided(self, world):
        decide(world.store, world.log[0], self.request(world)["id"], Decision("approve", "ann", "", 7))
        later = Plot(seed=8, hours=24).events()
        world.tell([said for said in later if said.time > START + 15 * HOUR_MS]).count().judge()
        assert "approved" in [step["state"] for step in world.outcome().requests[self.only(world)]["history"]]

    def only(self, world: FleetWorld) -> str:
        return min(world.outcome().requests, key=lambda id_: world.outcome().requests[id_]["proposed_at"])

    def test_what_cannot_be_done_from_there_is_refused(self, world):
        with pytest.raises(WrongStateError):
            decide(world.store, world.log[0], self.request(world)["id"], Decision("start", "ann", "", 7))
        with pytest.raises(NotFoundError):
            decide(world.store, world.log[0], "nothing", Decision("approve", "ann", "", 7))

    def test_a_trainers_answer_ends_the_request(self, world):
        decide(world.store, world.log[0], self.request(world)["id"], Decision("approve", "ann", "", 7))
        assert self.answer(world) == [f"retraining of loans completed: request {self.request(world)['id']}"]
        assert (self.request(world)["state"], self.request(world)["history"][-1]["note"]) == ("completed", "auc 0.9")

    @pytest.mark.parametrize(
        "changes",
        [{}, {"request": "nothing"}, {"type": "other"}, {"outcome": "lost"}],
        ids=["early", "unknown", "type", "outcome"],
    )
    def test_an_answer_that_cannot_be_followed_is_recorded(self, world, changes):
        (said,) = self.answer(world, **changes)
        assert said.startswith("an answer of a trainer is not followed: ")
        assert len(world.recorded("result-refused")) == 1
        assert self.request(world)["state"] == "requested"

    def test_bytes_that_are_no_answer_are_recorded(self, world):
        take_result(world.store, b"\xff", lambda: 5, lambda _line: None)
        assert len(world.recorded("result-refused")) == 1


class Away:
    """A store that is away when it is asked something for the n-th time."""

    def __init__(self, store, name: str, nth: int = 1) -> None:
        self._store, self._name, self.left = store, name, nth

    def __getattr__(self, name: str):
        if name == self._name:
            self.left -= 1
            if self.left == 0:
                raise StoreBusyError("away", hint="wait")
        return getattr(self._store, name)


class TestReading:
    """What a reader answers whoever drives it."""

    def test_what_was_not_assigned_is_nobodys(self):
        world = FleetWorld(2)
        fleet = world.worker.fleet
        other = Partition("other", 0)
        assert not fleet.wants(other)
        assert fleet.deliver(other, [SimulatedRecord(0, 0, None, b"{}")]) is None
        assert fleet.lost(other, 0, 1) is None
        assert fleet.work() == {}
        fleet.revoked([other])

    def test_nothing_is_wanted_before_there_are_files(self):
        world = FleetWorld(1).tell(SMALL.events()).count()
        assert not world.worker.fleet.wants(world.log[0])
        world.judge()
        world.worker.turn()
        assert world.worker.fleet.wants(world.log[0])

    def test_no_more_is_wanted_than_may_be_held(self):
        world = FleetWorld(1).judge()
        world.worker.turn()
        (partition,) = world.log
        world.worker.fleet.work()
        big = b" " * (HELD_BYTES_MAX // 2)
        for offset in range(2):
            assert world.worker.fleet.wants(partition)
            world.worker.fleet.deliver(partition, [SimulatedRecord(offset, 0, None, big)])
        assert not world.worker.fleet.wants(partition)
        assert world.worker.fleet.waiting == 2

    def test_what_is_revoked_is_forgotten_and_what_is_assigned_again_begins_anew(self):
        world = FleetWorld(2).judge()
        world.worker.turn()
        fleet, (first, second) = world.worker.fleet, world.log
        fleet.deliver(first, [SimulatedRecord(0, 0, None, b"{}")])
        assert fleet.assigned({second: (0, 0)}) == {second: 0}
        assert fleet.waiting == 0
        assert fleet.assigned({first: (0, 1), second: (0, 0)}) == {first: 0, second: 0}

    def test_of_two_who_hold_a_partition_the_later_counts(self):
        world = FleetWorld(1).judge().tell(SMALL.events())
        world.worker.turn()
        (partition,), log = world.log, world.logs[world.log[0]]
        zombie, world.worker = world.worker.fleet, world.new_worker("worker-2")
        world.worker.turn()
        zombie.deliver(partition, log.fetch(0, 10))
        zombie.work()
        assert world.store.position(partition).next_offset == 0
        world.count()
        assert world.store.position(partition).next_offset == log.now.end
        assert zombie.work() == {}
        world.wall += AGAIN_AFTER_MS
        assert zombie.work() == {partition: log.now.end - 1}  # It asks again, in case that it is the only one left.

    @pytest.mark.parametrize("asked", ["claim", "standings", "load", "positioned"])
    def test_a_loss_is_asked_about_again_when_the_database_is_back(self, asked):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        away = Away(world.store, asked, 9_999)
        world.worker = world.new_worker("worker-2", away)
        world.worker.turn()
        away.left = 1
        (partition,), end = world.log, world.logs[world.log[0]].now.end
        with pytest.raises(StoreBusyError):
            world.worker.fleet.lost(partition, 0, end)
        assert world.worker.fleet.lost(partition, 0, end) == end - 1

    @pytest.mark.parametrize("asked", ["claim", "standings", "load", "positioned"])
    def test_a_partition_that_could_not_be_taken_over_is_taken_over_later(self, asked):
        world = FleetWorld(1).judge().tell(SMALL.events()).count()
        world.worker = world.new_worker("worker-2", Away(world.store, asked))
        (partition,), end = world.log, world.logs[world.log[0]].now.end
        with pytest.raises(StoreBusyError):
            world.worker.fleet.assigned({partition: (0, end)})
        assert world.worker.fleet.work() == {partition: end - 1}
        assert world.worker.fleet.work() == {}

    def test_where_to_read_is_not_forgotten_when_another_partition_fails(self):
        world = FleetWorld(2).judge().tell(SMALL.events()).count()
        away = Away(world.store, "position", 9_999)
        world.worker = world.new_worker("worker-2", away)
        world.worker.turn()
        fleet, (first, second) = world.worker.fleet, world.log
        world.store.claim(first, "other")
        fleet._readers[first]._stale = True
        fleet.work()
        world.wall += AGAIN_AFTER_MS
        fleet._readers[second]._stale = True
        away.left = 1
        with pytest.raises(StoreBusyError):
            fleet.work()
        assert fleet.work() == {first: world.store.position(first).next_offset - 1}

    def test_who_is_fenced_while_it_skips_a_loss_stands_back(self):
        world = FleetWorld(1).judge().tell(SMALL.events()[:5]).count()
        (partition,) = world.log

        class Overtaken(Away):
            @property
            def begin(self):
                world.store.claim(partition, "other")
                return world.store.begin

        world.worker = world.new_worker("worker-2", Overtaken(world.store, "nothing"))
        assert world.worker.fleet.assigned({partition: (9, 12)}) == {partition: None}
        assert world.recorded("gap") == []
        assert not world.worker.fleet.wants(partition)

    def test_what_is_not_foreseen_is_raised(self):
        world = FleetWorld(1).judge().tell(SMALL.events())

        class Broken(Away):
            @property
            def begin(self):
                raise GuardianError("disk", hint="")

        world.worker = world.new_worker("worker-2", Broken(world.store, "nothing"))
        with pytest.raises(GuardianError, match="disk"):
            world.count()
