"""What leaves leaves in its order, is marked when it has been acknowledged, and leaves again when it was not."""

import json
from collections import defaultdict

import jsonschema
import pytest

from guardian.engine import relay as module
from guardian.engine.fates import StoreBusyError
from guardian.engine.halt import halt, resume
from guardian.engine.lease import HELD_MS, Holding
from guardian.engine.messages import outgoing_schema
from guardian.engine.outgoing import letter_mark
from guardian.engine.relay import LEASE, Relay
from guardian.engine.topics import SPECS
from guardian.errors import UnreachableError
from guardian.testing.contracts import raises
from guardian.testing.fleets import TOPIC, FleetWorld
from guardian.testing.stories import Plot, label


@pytest.fixture(scope="module")
def told() -> FleetWorld:
    """A world with something of every kind to send; tests leave its store as it is, but for leases and marks."""
    world = FleetWorld(2)
    world.judge().tell(Plot().events()).count()
    for partition in world.log:
        log = world.logs[partition]
        for value in (b"{", b"[]", b""):
            log.append(None, value, world.wall, number=0)
    world.count().judge().end()
    (first, _) = world.log
    claim = world.store.claim(first, "me")
    halt(world.store, claim, "it is another log", world.wall)
    resume(world.store, first, "Ada", "restored", world.wall)
    for size in (3, 5):
        world.store.put_checkpoint("guardian/memory/control", size, "ab" * 32, b"note\n", world.wall)
    world.tell([label("c-0-0", world.wall, "yes")])
    return world


class Topics:
    """A broker's topics, and what it does next: `fails` is raised before or after parcels are taken."""

    def __init__(self) -> None:
        self.parcels = defaultdict(list)
        self.fails: BaseException | None = None
        self.taken = True
        self.only = ""

    def __call__(self, topic, parcels):
        failing = self.fails is not None and self.only in {"", topic}
        if not failing or self.taken:
            self.parcels[topic] += parcels
        if failing:
            raise self.fails

    def events(self, topic: str) -> list[dict]:
        return [json.loads(parcel.value) for parcel in self.parcels[topic]]

    def streams(self) -> dict[str, list]:
        """Return the places of what came, by stream, in the order in which it came."""
        found = defaultdict(list)
        for topic in list(self.parcels):
            for event in self.events(topic):
                data = event["data"]
                if topic == "deadletter":
                    found[f"deadletter/{data['topic']}/{data['part']}"].append(letter_mark(data["offset"], data["row"]))
                elif "seq" in data:
                    found[f"audit/{data['stream']}"].append(data["seq"])
                elif "origin" in data:
                    found[f"checkpoint/{data['origin']}"].append(data["size"])
                else:
                    found[f"outbox/{topic}"].append(int(event["sequence"]))
        return found


class Marks:
    """The world's store with marks of its own, so that tests do not meet."""

    def __init__(self, world: FleetWorld) -> None:
        self._store, self.kept, self.fails = world.store, {}, 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    def marks(self):
        return dict(self.kept)

    def mark(self, stream, seq, at):
        if self.fails:
            self.fails -= 1
            raise StoreBusyError("away", hint="wait")
        self.kept[stream] = max(seq, self.kept.get(stream, seq))


@pytest.fixture
def marks(told) -> Marks:
    return Marks(told)


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
def relay(told, marks, topics):
    """Return what makes a relay of a name, at a time."""
    holders = []

    def make(name: str = "relay-1", at: int = 1) -> Relay:
        now = lambda: at  # noqa: E731
        holding = Holding(marks, LEASE, name, now)
        holders.append(holding)
        return Relay(marks, told.store, topics, TOPIC, holding, now)

    yield make
    for holding in holders:
        holding.give_up()


def drain(relay: Relay) -> int:
    sent = 0
    while left := relay.turn():
        sent += left
    return sent


def whole(told: FleetWorld) -> dict[str, list]:
    """Return the places of everything that there is to send, by stream."""
    tables = told.store.tables
    found = {f"audit/{head.stream}": list(range(head.size)) for head in told.store.heads()}
    for topic, end in tables.outbox_ends.items():
        found[f"outbox/{topic}"] = list(range(1, end + 1))
    for partition in told.log:
        places = sorted(letter_mark(offset, row) for own, offset, row in tables.dead_letters if own == partition)
        found[f"deadletter/{TOPIC}/{partition.number}"] = places
    return {**found, "checkpoint/guardian/memory/control": [3, 5]}


def test_everything_leaves_once_and_in_order(told, relay, topics, marks):
    want = whole(told)
    assert {stream.partition("/")[0] for stream in want} == {"audit", "outbox", "deadletter", "checkpoint"}
    assert drain(relay()) == sum(map(len, want.values()))
    assert topics.streams() == want
    assert marks.kept == {stream: places[-1] for stream, places in want.items()}
    assert relay().turn() == 0


@pytest.mark.parametrize("page", [1, 7])
def test_pages_change_nothing(told, relay, topics, monkeypatch, page):
    monkeypatch.setattr(module, "PAGE", page)
    drain(relay())
    assert topics.streams() == whole(told)


def test_every_kind_is_of_its_topic_and_of_its_schema(relay, topics):
    drain(relay())
    types = {spec.name: set(spec.types) for spec in SPECS if spec.direction == "out"}
    assert topics.parcels.keys() == types.keys()
    for topic in types:
        events = topics.events(topic)
        assert {event["type"] for event in events} == types[topic]
        for event in events:
            jsonschema.validate(event, outgoing_schema(event["type"]))
        assert {parcel.key for parcel in topics.parcels[topic]} <= {"loans", ""}


def test_a_crash_between_sending_and_marking_sends_that_page_again(told, relay, topics, marks, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 5)
    first = relay()
    first.turn()
    before, kept = {stream: list(places) for stream, places in topics.streams().items()}, dict(marks.kept)
    marks.fails = 1
    with raises(StoreBusyError):
        first.turn()
    twice = {stream: places for stream, places in topics.streams().items() if places != before[stream]}
    assert marks.kept == kept
    drain(relay())
    assert len(twice) == 1
    for stream, places in topics.streams().items():
        again = twice[stream][len(before[stream]) :] if stream in twice else []
        assert places == before.get(stream, []) + again + whole(told)[stream][len(before.get(stream, [])) :]


@pytest.mark.parametrize("taken", [False, True], ids=["lost", "taken and not acknowledged"])
def test_what_was_not_acknowledged_is_not_marked_and_leaves_later(told, relay, topics, marks, taken):
    topics.fails, topics.taken = UnreachableError("the broker is away", hint="wait"), taken
    with raises(UnreachableError):
        relay().turn()
    assert marks.kept == {}
    topics.fails = None
    drain(relay())
    for stream, places in topics.streams().items():
        assert sorted(set(places)) == whole(told)[stream] == places[-len(whole(told)[stream]) :]


def test_no_stream_waits_behind_another(told, relay, topics, marks):
    topics.fails, topics.taken, topics.only = UnreachableError("no such topic", hint="create it"), False, "alerts"
    with raises(UnreachableError):
        drain(relay())
    assert marks.kept.keys() == whole(told).keys() - {"outbox/alerts"}


def test_who_holds_no_lease_sends_nothing(relay, topics, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    relay("relay-1").turn()
    sent = sum(map(len, topics.parcels.values()))
    second = relay("relay-2")
    assert second.turn() == 0
    assert second.stands_by
    assert sum(map(len, topics.parcels.values())) == sent


def test_one_that_wakes_up_late_repeats_and_moves_no_mark_back(told, relay, topics, marks, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 4)
    late = relay("relay-1")
    late.turn()
    drain(relay("relay-2", HELD_MS + 2))
    ended = dict(marks.kept)
    stale = {stream: whole(told)[stream][:4][-1] for stream in ended}
    monkeypatch.setattr(marks, "marks", lambda: dict(stale))
    late.turn()
    assert marks.kept == ended
    for stream, places in topics.streams().items():
        assert sorted(set(places)) == whole(told)[stream]


def test_a_lease_that_is_given_up_is_the_next_ones_at_once(relay, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    first, second = relay("relay-1"), relay("relay-2")
    first.turn()
    first.stop()
    assert second.turn() > 0
    assert not second.stands_by
