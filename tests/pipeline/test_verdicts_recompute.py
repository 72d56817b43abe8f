"""Every recorded verdict comes out again of its evidence, its rule and its reference, bit for bit."""

from collections import defaultdict
from itertools import pairwise

import pytest

from guardian.canonical import digest
from guardian.catalog.model_file import ModelFile
from guardian.decisions.verdict import decide
from guardian.engine.catalog import load_catalog
from guardian.metrics.base import Measured, Subject
from guardian.panes.windows import Evidence, Reference
from guardian.pipeline.measure import measure
from guardian.policies.model import PolicyFile
from guardian.testing.stories import ACCURACY, DRIFT, MISSING, PARITY, PARTITION, START, Plot, References, World, files, policy
from guardian.units import HOUR_MS

MANY = (
    policy(
        "everything",
        {**DRIFT, "columns": "all"},
        MISSING,
        ACCURACY,
        PARITY,
        {"alert": "Drop", "metric": "performance.accuracy", "change": "drop", "error": "> 0.1"},
        {"alert": "Auc", "metric": "performance.roc_auc", "warn": "< 0.9"},
        {"alert": "Brier", "metric": "performance.brier", "change": "ratio", "warn": "> 1.2"},
        {"alert": "New", "metric": "quality.new_category_share", "columns": ["purpose"], "warn": "> 0.05"},
        {"alert": "Few", "metric": "quality.volume", "warn": "< 30"},
        {"alert": "Late", "metric": "quality.label_delay", "warn": "> 1"},
        {"alert": "Odds", "metric": "fairness.equalized_odds_difference", "by": "sex", "warn": "> 0.2"},
    ),
)


@pytest.fixture(scope="module")
def world():
    events = Plot(hours=9, an_hour=20, delay=HOUR_MS).events()
    half = next(i for i, said in enumerate(events) if said.time > START + 5 * HOUR_MS)
    world = World().activate(files(policies=MANY)).tell(events[:half]).drain(64)
    world.references = References(seed=2, extra=("moon",))
    world.activate(files(policies=MANY)).tell(events[half:]).drain(64)
    world.engine.end()
    return world


def test_the_story_has_every_kind_of_verdict(world):
    rows = world.outcome().verdicts
    assert {row["verdict"] for row in rows} == {"violated", "satisfied", "inconclusive", "unknown"}
    assert {row["reason"] for row in rows} >= {"immature-labels", "parameters-changed"}
    assert len({row["digests"]["reference"] for row in rows}) == 2


def test_each_verdict_recomputes_from_what_it_names(world):
    stored = world.store.artifact
    for row in world.outcome().verdicts:
        names = row["digests"]
        model = ModelFile.model_validate_json(stored(names["model"]))
        rules = PolicyFile.model_validate_json(stored(names["policy"]))
        reference = Reference.from_bytes(stored(names["reference"]))
        evidence = Evidence.from_bytes(stored(row["evidence"]), reference.parameters)
        assert (model.name, digest(stored(row["evidence"]))) == ("loans", row["evidence"])
        rule = rules.rule(row["rule"])
        found = measure(rule, Subject.from_json(row["subject"]), evidence, reference.window())
        condition = dict(rule.rungs)[row["severity"]]
        assert decide(found, condition) == (row["verdict"], row["reason"])
        assert (found.n, dict(found.detail)) == (row["n"], row["detail"])
        if isinstance(found, Measured):
            assert (found.value, [found.low, found.high]) == (row["value"], row["interval"])
        else:
            assert (row["value"], row["interval"]) == (None, None)


def test_every_window_has_one_final_verdict_a_rung_and_revisions_without_gaps(world):
    by_id = {}
    for row in world.outcome().verdicts:
        by_id.setdefault(row["id"], []).append(row)
    for rows in by_id.values():
        rows.sort(key=lambda row: row["revision"])
        assert [row["revision"] for row in rows] == list(range(1, len(rows) + 1))
        assert [row["final"] for row in rows] == [False] * (len(rows) - 1) + [True]
        assert [row["due_at"] for row in rows] == sorted({row["due_at"] for row in rows})
        for before, after in pairwise(rows[:-1]):
            assert (before["verdict"], before["reason"]) != (after["verdict"], after["reason"])


def test_what_is_held_comes_back_from_the_store(world):
    held = load_catalog(world.store, PARTITION)["loans"]
    assert held.timeline == world.engine.held["loans"].timeline
    assert [epoch.effective_from for epoch in held.timeline.epochs][1:] == [START + 5 * HOUR_MS]


@pytest.mark.parametrize("batch", [7, 40])
def test_what_is_remembered_of_a_measurement_is_what_is_measured_afresh(batch):
    """A window is not measured again on evidence that did not change. One engine remembers, the other starts anew each time."""
    events = Plot(hours=7, an_hour=12, delay=HOUR_MS, drifts=(2, 5)).events()
    one, other = World().activate(files(policies=MANY)), World().activate(files(policies=MANY))
    kept = {True: 0, False: 0}
    for at in range(0, len(events), batch):
        for world in (one, other):
            world.tell(events[at : at + batch]).drain(batch)
            if world is other:
                world.start()
            windows = [p for rule in world.engine.memories["loans"].rules.values() for p in rule.windows.values()]
            kept[world is one] += sum(len(p.measured) for p in windows)
    one.engine.end()
    other.engine.end()
    assert kept[True] > 0 == kept[False]
    assert one.outcome() == other.outcome()
    evidence = defaultdict(list)
    for row in one.outcome().verdicts:
        evidence[row["id"]].append(row["evidence"])
    assert any(said[-1] == said[-2] for said in evidence.values() if len(said) > 1)
    assert any(said[-1] != said[-2] for said in evidence.values() if len(said) > 1)
