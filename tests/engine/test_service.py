"""The loop, its timed jobs, its lease, and what is told: on virtual time, with a timer that a test turns by hand."""

import pytest

from guardian.audit.chain import parse_record
from guardian.engine.decide import Decision, decide
from guardian.engine.fates import StoreBusyError
from guardian.engine.service import CHECKPOINT, FILES, LEASE, RENEW, TICK, NoModelsError, Pace, Service
from guardian.engine.service import World as Around
from guardian.errors import GuardianError, InvalidFileError, Mistake, UnreachableError
from guardian.policies.load import PolicySet
from guardian.testing.stories import PARTITION, START, Plot, World, files, model
from guardian.units import HOUR_MS, MINUTE_MS

EVENTS = Plot(hours=6, an_hour=12, delay=HOUR_MS, drifts=(1, 6)).events()
PACE = Pace(batch_events=100, poll_ms=1, tick_every_ms=MINUTE_MS, checkpoint_every_ms=HOUR_MS)
NOTHING = PolicySet({}, {}, {}, {}, {})
BAD = InvalidFileError([Mistake("file.unknown-key", "policies/inputs.yaml", 3, 1, "no such key", "remove it")])


class Turned:
    """A timer whose jobs run when a test says so."""

    def __init__(self):
        self.jobs, self.runs = {}, False

    def every(self, name, interval_ms, work):
        self.jobs[name] = work

    def start(self):
        self.runs = True

    def stop(self):
        self.runs = False


class Scene:
    """A service on the story's world, and a script: what happens at each look at the log's end of it."""

    def __init__(self, world=None, owner="me", gone=()):
        self.story = world or World(wall=START + 12 * HOUR_MS)
        self.timer, self.lines, self.signed, self.script = Turned(), [], 0, []
        self.said, self.keyless = files(), False
        around = Around(
            store=self.story.store,
            files=self.read,
            references=self.story.references,
            checkpoint=self.checkpoint,
            now=lambda: self.story.wall,
            say=self.lines.append,
            is_gone=lambda name: name in gone,
        )
        self.service = Service(self.story.engine, around, self.timer, owner, PACE)

    def read(self):
        said = self.said() if callable(self.said) else self.said
        if isinstance(said, Exception):
            raise said
        return said

    def checkpoint(self):
        self.signed += 1
        if self.keyless:
            raise GuardianError("there is no key", hint="guardian init makes one")
        return "signed"

    def more(self):
        """Do the next thing that is to happen; there is more as long as there is a next thing."""
        if self.script:
            self.script.pop(0)()
            return True
        return False

    def run(self, *script, finalise=False):
        self.script = list(script)
        self.service.run(until_idle=True, finalise=finalise, more=self.more)
        return self

    def ask(self, *names):
        """Return what lets a minute pass and makes jobs due."""

        def work():
            self.story.wall += MINUTE_MS
            for name in names:
                self.timer.jobs[name]()

        return work

    def control(self, kind):
        rows = [r for (stream, _), r in sorted(self.story.tables.records.items()) if stream == "control" and r.kind == kind]
        return [parse_record(r.body_bytes)["body"] for r in rows]

    def set(self, said):
        def work():
            self.said = said

        return work


def test_it_counts_and_judges_what_there_is_and_signs_at_the_end():
    scene = Scene()
    scene.story.tell(EVENTS)
    scene.run(finalise=True)
    assert scene.story.outcome() == World().run(EVENTS)
    assert scene.signed == 1
    assert not scene.timer.runs
    assert scene.story.store.holder(LEASE) == ""
    assert "activation: loans" in scene.lines
    assert not [line for line in scene.lines if line.startswith("verdicts:")]


def test_until_idle_goes_on_as_long_as_somebody_sends():
    """What is sent right before the sender is seen to have ended is counted."""
    scene = Scene()
    thirds = [EVENTS[at : at + 50] for at in range(0, 150, 50)]
    scene.run(lambda: None, *(lambda part=part: scene.story.tell(part) for part in thirds), lambda: None)
    assert scene.story.engine.claim.next_offset == 150
    assert scene.script == []


def test_what_the_last_sender_sends_while_it_is_asked_is_counted():
    scene = Scene()

    def more():
        if scene.script:
            scene.story.tell(scene.script.pop())
        return False

    scene.script = [EVENTS[:30]]
    scene.service.run(until_idle=True, finalise=False, more=more)
    assert scene.story.engine.claim.next_offset == 30


def test_a_bad_set_is_refused_once_and_the_last_good_one_goes_on():
    scene = Scene()
    scene.story.tell(EVENTS[:100])
    again = scene.ask(FILES)
    scene.run(scene.set(BAD), again, again, again, lambda: scene.story.tell(EVENTS[100:150]), lambda: None)
    (body,) = scene.control("activation-refused")
    assert body == {"code": "file.invalid", "what": str(BAD)}
    assert len([line for line in scene.lines if line.startswith("files refused")]) == 1
    assert scene.story.engine.claim.next_offset == 150
    assert len(scene.control("activation")) == 1


def test_a_set_that_is_bad_again_after_it_was_mended_is_refused_again():
    scene = Scene()
    again = scene.ask(FILES)
    scene.run(scene.set(BAD), again, lambda: None, scene.set(files()), again, lambda: None, scene.set(BAD), again, lambda: None)
    assert len(scene.control("activation-refused")) == 2


def test_a_change_that_is_forbidden_is_refused_like_a_bad_file():
    scene = Scene()
    scene.run(scene.set(files(model(pane="30m"))), scene.ask(FILES), lambda: None)
    assert [body["code"] for body in scene.control("activation-refused")] == ["catalog.forbidden-change"]


def test_a_refusal_is_recorded_although_an_operators_decision_made_the_claim_stale():
    story = World(wall=START + 12 * HOUR_MS)
    story.activate().tell(EVENTS).drain()
    (request,) = [row["id"] for row in story.store.requests() if row["state"] == "requested"]
    scene = Scene(story)
    before = len(EVENTS)

    def decided_meanwhile():
        if not scene.control("decision"):
            decide(story.store, PARTITION, request, Decision("approve", "ann", "fine", story.wall))
        return BAD

    scene.run(scene.set(decided_meanwhile), scene.ask(FILES), lambda: None, lambda: story.tell(EVENTS[:10]), lambda: None)
    assert len(scene.control("decision")) == len(scene.control("activation-refused")) == 1
    assert story.engine.claim.next_offset == before + 10
    assert story.outcome().requests[request]["state"] == "approved"


def test_of_files_that_are_gone_it_is_told_what_became_of_them_and_not_how_it_was_written_down():
    scene = Scene()
    scene.story.tell(EVENTS)
    scene.run(lambda: None, scene.set(files(model("other", reference=None), ())), scene.ask(FILES), lambda: None)
    assert [line for line in scene.lines if line.endswith(": loans")] == ["activation: loans", "deactivation: loans"]
    assert [line for line in scene.lines if line.startswith("alert resolved")]
    assert "firing" not in {row["state"] for row in scene.story.outcome().alerts.values()}


def test_no_model_file_at_all_is_refused_while_something_is_held():
    scene = Scene()
    scene.run(scene.set(NOTHING), scene.ask(FILES), lambda: None, lambda: scene.story.tell(EVENTS[:10]), lambda: None)
    assert [body["code"] for body in scene.control("activation-refused")] == ["catalog.no-models"]
    assert scene.control("deactivation") == []
    assert scene.story.outcome().total("dead-lettered") == 0


@pytest.mark.parametrize(("said", "error"), [(NOTHING, NoModelsError), (BAD, InvalidFileError)], ids=["none", "bad"])
def test_without_a_good_set_ever_it_does_not_start(said, error):
    scene = Scene()
    scene.said = said
    with pytest.raises(error):
        scene.run()
    assert scene.control("activation-refused") == []
    assert scene.story.store.holder(LEASE) == ""


@pytest.mark.parametrize("said", [NOTHING, BAD], ids=["none", "bad"])
def test_it_starts_on_what_is_held_although_the_files_are_bad(said):
    scene = Scene(World(wall=START + 12 * HOUR_MS).activate())
    scene.story.tell(EVENTS)
    scene.said = said
    scene.run(finalise=True)
    assert scene.story.outcome().finals == World().run(EVENTS).finals


def test_a_database_that_is_busy_is_no_fault_of_the_files():
    scene = Scene()
    busy = StoreBusyError("locked", hint="wait")
    with pytest.raises(StoreBusyError):
        scene.run(scene.set(busy), scene.ask(FILES), lambda: None)
    assert scene.control("activation-refused") == []


def test_a_checkpoint_that_cannot_be_signed_is_told_and_the_loop_goes_on():
    scene = Scene()
    scene.keyless = True
    scene.run(scene.ask(CHECKPOINT), lambda: None, lambda: scene.story.tell(EVENTS[:10]), lambda: None)
    assert scene.signed == 1
    assert [line for line in scene.lines if line.startswith("no checkpoint: ") and "there is no key" in line]
    assert scene.story.engine.claim.next_offset == 10


def test_a_job_is_done_once_however_often_it_is_asked_for():
    scene = Scene()
    ask = scene.ask(CHECKPOINT)

    def twice():
        ask()
        scene.timer.jobs[CHECKPOINT]()

    scene.run(twice, lambda: scene.timer.jobs[CHECKPOINT](), lambda: None)
    assert scene.signed == 1


def test_idle_ticks_come_from_the_timer():
    story = World(wall=START + 6 * HOUR_MS)
    scene = Scene(story)
    scene.said = files(model(clock="live"))

    def silence():
        story.wall += HOUR_MS
        scene.timer.jobs[TICK]()

    scene.run(lambda: story.tell(EVENTS), *(silence for _ in range(3)), lambda: None)
    assert len(scene.control("idle-tick")) > 1
    assert story.engine.clocks["loans"] == story.wall - 30 * MINUTE_MS


def test_a_second_service_is_refused():
    first = Scene()
    second = Scene(World(store=first.story.store, wall=first.story.wall), owner="other")
    refusals = []

    def try_it():
        with pytest.raises(UnreachableError) as caught:
            second.run()
        refusals.append(str(caught.value))

    first.run(try_it)
    assert len(refusals) == 1
    assert "another guardian process" in refusals[0]
    assert not second.timer.runs
    assert first.story.store.holder(LEASE) == ""


def test_the_lease_of_a_dead_process_is_not_waited_for():
    scene = Scene(gone={"dead"})
    scene.story.store.acquire(LEASE, "dead", HOUR_MS, scene.story.wall)
    scene.run(lambda: scene.story.tell(EVENTS[:10]))
    assert scene.story.engine.claim.next_offset == 10


def test_the_lease_of_a_process_that_may_live_is_waited_for():
    scene = Scene(gone={"another"})
    scene.story.store.acquire(LEASE, "dead", HOUR_MS, scene.story.wall)
    with pytest.raises(UnreachableError):
        scene.run()
    assert scene.story.store.holder(LEASE) == "dead"


def test_a_lease_that_somebody_else_took_stops_the_loop():
    scene = Scene()
    store = scene.story.store

    def lose():
        scene.story.wall += HOUR_MS
        assert store.acquire(LEASE, "other", HOUR_MS, scene.story.wall)
        scene.timer.jobs[RENEW]()

    with pytest.raises(UnreachableError, match="lost"):
        scene.run(lose, *(lambda: scene.story.tell(EVENTS[:10]) for _ in range(3)), finalise=True)
    assert len(scene.script) == 3
    assert scene.control("end-tick") == []
    assert store.holder(LEASE) == "other"


def test_a_lease_that_ran_out_and_nobody_took_is_taken_anew():
    scene = Scene()

    def oversleep():
        scene.story.wall += HOUR_MS
        scene.timer.jobs[RENEW]()

    scene.run(oversleep, lambda: scene.story.tell(EVENTS[:10]))
    assert scene.story.engine.claim.next_offset == 10
    assert scene.story.store.holder(LEASE) == ""


def test_a_renewal_that_the_database_is_too_busy_for_is_tried_again(monkeypatch):
    scene = Scene()

    def busy(*_):
        raise StoreBusyError("locked", hint="wait")

    def renew():
        with monkeypatch.context() as patched:
            patched.setattr(scene.story.store, "renew", busy)
            scene.timer.jobs[RENEW]()
        scene.timer.jobs[RENEW]()

    scene.run(renew, lambda: scene.story.tell(EVENTS[:10]))
    assert scene.story.engine.claim.next_offset == 10


def test_stop_ends_the_loop_after_the_step_under_way_without_an_end_tick():
    scene = Scene()
    scene.story.tell(EVENTS)
    scene.run(scene.service.stop, lambda: None, finalise=True)
    assert scene.story.engine.claim.next_offset == PACE.batch_events
    assert scene.control("end-tick") == []
    assert scene.signed == 0
