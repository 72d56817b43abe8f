"""What cannot be counted: poison, what comes from the future, and sums that would overflow. Neighbours are not touched."""

import pytest

from guardian.engine.catalog import load_catalog
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.testing.stories import PARTITION, START, Case, Plot, Said, World, files, label, model, policy, prediction
from guardian.units import DAY_MS, HOUR_MS, MINUTE_MS

EVENTS = Plot(hours=8, an_hour=12, delay=HOUR_MS, drifts=(2, 5)).events()
GOOD = next(said.event for said in EVENTS if b"salary" in said.event)
POISON = {
    "nothing": b"",
    "no json": b"\xff\x00",
    "half an event": GOOD[: len(GOOD) // 2],
    "another format": b'{"type":"x"}',
    "a model nobody knows": GOOD.replace(b'"loans"', b'"lions"'),
    "a wrong type": GOOD.replace(b'"prediction":"', b'"prediction":["').replace(b'","score"', b'"],"score"'),
    "infinity": GOOD.replace(b'"score":', b'"score":1e400,"x":'),
    "a score of two": GOOD.replace(b'"score":', b'"score":2,"x":'),
    "no class": GOOD.replace(b'"prediction":"yes"', b'"prediction":"maybe"').replace(
        b'"prediction":"no"', b'"prediction":"maybe"'
    ),
    "no label": label("c-1-1", START + HOUR_MS, "maybe"),
    "a bad time": GOOD.replace(b"2024-", b"20x4-"),
    "a bad version": GOOD.replace(b'"version":"1"', b'"version":"*"'),
    "depth": b'{"a":' * 5_000 + b"}" * 5_000,
    "a lone surrogate": GOOD.replace(b'"id":"', b'"id":"\\ud800'),
}


@pytest.fixture(scope="module")
def outcome():
    return World().run(EVENTS)


def spoiled():
    """The story with poison after every tenth event."""
    kinds, out = list(POISON.values()), []
    for i, said in enumerate(EVENTS):
        out.append(said)
        if i % 10 == 0:
            out.append(Said(said.time, kinds[i // 10 % len(kinds)]))
    return out


@pytest.mark.parametrize("batch", [None, 1, 17])
def test_poison_changes_nothing_for_its_neighbours_and_each_is_kept(outcome, batch):
    log = spoiled()
    world = World()
    got = world.run(log, batch)
    letters = world.tables.dead_letters
    bad = [i for i, said in enumerate(log) if said.event in POISON.values()]
    assert sorted(offset for _, offset, _ in letters) == bad
    assert got.total("dead-lettered") == len(bad)
    assert sum(got.fates.values()) == len(log)
    assert (got.panes, got.records, got.alerts, got.requests) == (
        outcome.panes,
        outcome.records,
        outcome.alerts,
        outcome.requests,
    )


@pytest.mark.parametrize("kind", POISON)
def test_each_poison_alone_is_a_dead_letter_with_its_reason(kind):
    world = World().activate().tell([POISON[kind]]).drain()
    (letter,) = world.tables.dead_letters.values()
    assert letter.reason
    assert letter.detail
    assert world.engine.clocks == {"loans": None}


def test_a_log_of_nothing_but_poison_drains():
    world = World().activate().tell(list(POISON.values()) * 3).drain(4)
    assert len(world.tables.dead_letters) == 3 * len(POISON)
    assert world.engine.claim.next_offset == 3 * len(POISON)


@pytest.mark.parametrize("batch", [None, 1, 17])
def test_events_from_the_future_are_quarantined_and_move_no_clock(outcome, batch):
    far = START + 70 * 365 * DAY_MS
    future = [GOOD.replace(b"2024-", b"2094-"), label("c-0-0", far, "yes"), label("c-0-1", far + 1, "no")]
    log = list(EVENTS)
    for i, event in enumerate(future):
        log.insert(40 * (i + 1), Said(far, event))
    got = World().run(log, batch)
    assert got.total("quarantined") == 3
    assert sum(got.fates.values()) == len(log)
    assert (got.panes, got.records, got.alerts, got.requests) == (
        outcome.panes,
        outcome.records,
        outcome.alerts,
        outcome.requests,
    )


@pytest.mark.parametrize("kind", ["prediction", "label"])
def test_the_skew_is_the_model_files_and_counts_from_receipt(kind):
    last = START + 5 * MINUTE_MS
    case = Case(1000.0, "car", "f", 0.7, "yes", "yes")
    say = {"prediction": lambda at: prediction(f"p{at}", at, case, "1"), "label": lambda at: label("a", at, "yes")}[kind]
    world = World(wall=START).activate().tell([say(last), say(last + 1)]).drain()
    assert world.engine.clocks == {"loans": last}
    got = world.outcome()
    assert (got.total("unmatched") + got.total("counted"), got.total("quarantined")) == (1, 1)


RENTS = {
    "task": "regression",
    "positive_label": None,
    "reference": None,
    "protected": [],
    "segments": [],
    "features": {"rooms": {"type": "numeric"}},
}


MAE = policy("p", {"alert": "A", "metric": "performance.mae", "warn": "> 1"}, match={"models": ["rents"]})


def rent(name: str, at: int, value: float) -> bytes:
    return encode_prediction(name, at, PredictionData(model="rents", features={"rooms": 3.0}, prediction=value))


def truth(name: str, at: int, value: float) -> bytes:
    return encode_label(at, LabelData(prediction_id=name, model="rents", label=value))


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize("an_append", [3, 100])
def test_a_sum_that_would_overflow_is_one_dead_letter_and_the_rest_goes_on(batch, an_append):
    """Each of two errors of 1.5 million units fits 62 bits squared, both together do not."""
    most = float(1 << 20)
    log = []
    for i in range(8):
        log += [
            rent(f"r{i}", START + i, most if i in {2, 5} else 1.0),
            truth(f"r{i}", START + 100 + i, -most / 2 if i in {2, 5} else 2.0),
        ]
    world = World().activate(files(model("rents", **RENTS), [MAE]))
    for first in range(0, len(log), an_append):
        world.tell(log[first : first + an_append])
    world.drain(batch)
    world.engine.end()
    got = world.outcome()
    assert [offset for _, offset, _ in world.tables.dead_letters] == [11]
    assert (got.total("counted"), got.total("joined"), got.total("dead-lettered")) == (8, 7, 1)
    assert sum(got.fates.values()) == len(log)
    (pane,) = [p for p in world.engine.state.models["rents"].panes.values() if p.predictions]
    assert (pane.predictions, pane.labelled) == (8, 7)
    assert load_catalog(world.store, PARTITION).keys() == {"rents"}


def test_a_value_out_of_range_by_itself_is_a_dead_letter():
    over = float((1 << 20) + 1)
    world = World().activate(files(model("rents", **RENTS), [MAE]))
    world.tell([rent("a", START, over), rent("b", START, 1.0), truth("b", START, -over), truth("b", START, 3.0)]).drain()
    assert [letter.reason for letter in world.tables.dead_letters.values()] == ["value-out-of-range"] * 2
    got = world.outcome()
    assert (got.total("counted"), got.total("joined")) == (1, 1)
