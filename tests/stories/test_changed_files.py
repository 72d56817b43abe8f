"""Files that change under way: what takes effect when, what merges, and what is refused."""

from collections import defaultdict

import pytest

from guardian.errors import GuardianError
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.pipeline.epochs import ForbiddenChangeError
from guardian.testing.stories import (
    ACCURACY,
    DRIFT,
    MISSING,
    PARITY,
    POLICIES,
    START,
    Case,
    Plot,
    References,
    World,
    files,
    model,
    policy,
    prediction,
)
from guardian.units import HOUR_MS, format_time, parse_time

EVENTS = Plot(drifts=(2, 8), delay=HOUR_MS).events()
HALF = next(i for i, said in enumerate(EVENTS) if said.time >= START + 6 * HOUR_MS + 20 * 60_000)
BEGINS = format_time(START + 7 * HOUR_MS)
STRICT = (policy("inputs", {**DRIFT, "error": "> 0.3"}, MISSING), policy("outcome", ACCURACY, PARITY))
WITHOUT = (policy("inputs", DRIFT), policy("outcome", ACCURACY, PARITY))


def changed(second, batch=200, references=None, first=None):
    """Run half the story under the first files, change them, and run the rest."""
    world = World().activate(first)
    for at in range(0, HALF, batch):
        world.tell(EVENTS[:HALF][at : at + batch])
    world.drain(batch)
    world.references = references or world.references
    effects = world.engine.activate(second, world.references)
    for at in range(HALF, len(EVENTS), batch):
        world.tell(EVENTS[at : at + batch])
    world.drain(batch)
    world.engine.end()
    return world, effects


def digests(outcome, name: str) -> dict[str, set[str]]:
    """By window end, what digests verdicts of a policy were judged under, over all their revisions."""
    found = defaultdict(set)
    for row in outcome.verdicts:
        if row["policy"] == "inputs":
            found[row["window"]["end"]].add(row["digests"][name])
    return found


def test_files_that_say_the_same_activate_nothing():
    world = World().activate()
    assert world.engine.activate(files(), world.references).positioned == []


def test_a_changed_policy_judges_the_windows_that_end_after_the_next_pane_start_and_no_others():
    world, effects = changed(files(policies=STRICT))
    assert [p.body["effective_from"] for p in effects.positioned] == [START + 7 * HOUR_MS]
    old, new = files().policy_digests["inputs"], files(policies=STRICT).policy_digests["inputs"]
    by_end = digests(world.outcome(), "policy")
    assert len(by_end) == 8
    for end, found in by_end.items():
        assert found == {old if end <= BEGINS else new}, end
    thresholds = {
        (row["window"]["end"] <= BEGINS, row["threshold"]) for row in world.outcome().verdicts if row["rule"] == "Drift"
    }
    assert thresholds == {(True, 0.2), (True, 0.8), (False, 0.2), (False, 0.3)}


def test_the_alert_of_a_changed_rule_goes_on():
    world, _ = changed(files(policies=STRICT))
    told = [row for row in world.outcome().alerts.values() if row["rule"] == "Drift" and row["severity"] == "warn"]
    assert len(told) == 1
    assert told[0]["started_at"] < BEGINS < told[0]["last_window"]["end"]


def test_a_removed_rule_closes_its_alert_as_stale_and_judges_no_later_window():
    world, _ = changed(files(policies=WITHOUT))
    got = world.outcome()
    (alert,) = [row for row in got.alerts.values() if row["rule"] == "Missing" and row["condition"] == "threshold"]
    assert (alert["state"], alert["stale"]) == ("resolved", True)
    assert alert["ended_at"] == BEGINS
    assert max(row["window"]["end"] for row in got.verdicts if row["rule"] == "Missing") == BEGINS
    finals = {row["window"]["end"] for row in got.finals.values() if row["rule"] == "Missing"}
    assert finals == {row["window"]["end"] for row in got.verdicts if row["rule"] == "Missing"}


@pytest.mark.parametrize("batch", [3, 41])
@pytest.mark.parametrize("second", [STRICT, WITHOUT], ids=["stricter", "without"])
def test_batching_changes_nothing_around_a_change(second, batch):
    whole, _ = changed(files(policies=second), len(EVENTS))
    cut, _ = changed(files(policies=second), batch)
    assert cut.outcome() == whole.outcome()


def test_a_crash_right_after_a_change_changes_nothing():
    want, _ = changed(files(policies=STRICT))
    world = World().activate().tell(EVENTS[:HALF]).drain()
    world.start()
    world.engine.activate(files(policies=STRICT), world.references)
    world.start()
    world.tell(EVENTS[HALF:]).drain(37)
    world.engine.end()
    assert world.outcome() == want.outcome()


def test_a_step_counted_under_older_files_is_counted_again():
    want, _ = changed(files(policies=STRICT))
    world = World().activate().tell(EVENTS[:HALF]).drain()
    stale = world.engine
    world.start()
    world.engine.activate(files(policies=STRICT), world.references)
    world.engine = stale  # Its claim is of the older files.
    world.tell(EVENTS[HALF:]).drain(37)
    world.engine.end()
    assert world.outcome() == want.outcome()


def test_other_bins_make_unknown_only_what_reads_them_in_windows_that_span_both():
    first = files(
        policies=(policy("inputs", {**DRIFT, "columns": ["purpose", "salary", "sex"]}, {**MISSING, "require": {}}), POLICIES[1])
    )
    world, _ = changed(first, references=References(seed=2), first=first)
    unknown = {
        (row["rule"], row["subject"].get("column"), row["window"]["end"])
        for row in world.outcome().finals.values()
        if row["reason"] == "parameters-changed"
    }
    spans = format_time(START + 8 * HOUR_MS)
    assert unknown == {("Drift", "salary", spans), ("Missing", "salary", spans)}
    by_end = digests(world.outcome(), "reference")
    assert len({d for found in by_end.values() for d in found}) == 2
    for end, found in by_end.items():
        assert (found == by_end[BEGINS]) == (end <= BEGINS)


def test_another_category_changes_its_column_alone():
    world, _ = changed(files(), references=References(extra=("moon",)))
    reasons = {row["rule"] for row in world.outcome().finals.values() if row["reason"] == "parameters-changed"}
    assert reasons == {"Drift"}
    same = World().run(EVENTS)
    assert world.outcome().total("joined") == same.total("joined")


def test_changed_parameters_open_no_alert_of_what_cannot_be_judged():
    watchful = files(policies=(policy("inputs", {**DRIFT, "on_unknown": {"alert": "warn", "after": 1}}),))
    world, _ = changed(watchful, references=References(extra=("moon",)), first=watchful)
    assert not [row for row in world.outcome().alerts.values() if row["condition"] == "unknown"]


@pytest.mark.parametrize(
    "spec",
    [
        {"pane": "30m"},
        {"task": "multiclass_classification", "positive_label": None},
        {"positive_label": "no"},
    ],
    ids=["pane", "task", "positive_label"],
)
def test_what_counts_are_made_of_cannot_change_under_one_name(spec):
    world = World().activate().tell(EVENTS[:HALF]).drain()
    before = world.outcome(), len(world.tables.positioned)
    with pytest.raises(ForbiddenChangeError) as caught:
        world.engine.activate(files(model(**spec)), world.references)
    assert isinstance(caught.value, GuardianError)
    assert next(iter(spec)) in str(caught.value)
    assert (world.outcome(), len(world.tables.positioned)) == before
    world.tell(EVENTS[HALF:]).drain()
    world.engine.end()
    assert world.outcome() == World().run(EVENTS)


def test_a_longer_horizon_counts_labels_that_the_shorter_one_refused():
    short = files(model(labels={"horizon": "1h"}))
    world, _ = changed(files(), first=short)
    assert world.outcome().total("beyond-horizon") == 0
    assert sum(world.outcome().fates.values()) == len(EVENTS)


def test_a_model_that_was_removed_and_comes_back_with_other_bins_is_not_counted_by_the_wrong_ones():
    world = World().activate().tell(EVENTS[:HALF]).drain()
    nothing = files(model("other", reference=None), policies=())
    world.engine.activate(nothing, world.references)
    world.references = References(seed=2)
    world.engine.activate(files(), world.references)
    world.tell(EVENTS[HALF:]).drain()
    world.engine.end()
    got, want = world.outcome(), changed(files(), references=References(seed=2))[0].outcome()
    assert got.panes == want.panes

    def but_alerts(finals):
        return {id_: {**row, "alert_id": None} for id_, row in finals.items()}

    assert but_alerts(got.finals) == but_alerts(want.finals)  # Alerts closed as stale when the model was removed.


def test_the_alerts_of_a_removed_model_close_as_stale_and_its_events_are_dead_letters():
    world = World().activate().tell(EVENTS[:HALF]).drain()
    assert "firing" in {row["state"] for row in world.outcome().alerts.values()}
    world.engine.activate(files(model("other", reference=None), policies=()), world.references)
    world.tell(EVENTS[HALF:]).drain()
    world.engine.end()
    got = world.outcome()
    assert {(row["state"], row["stale"]) for row in got.alerts.values()} == {("resolved", True)}
    assert [letter.reason for letter in world.tables.dead_letters.values()] == ["unknown-model"] * (len(EVENTS) - HALF)
    assert sum(got.fates.values()) == len(EVENTS)
    assert max(row["due_at"] for row in got.verdicts) <= format_time(EVENTS[HALF].time)


def test_an_activation_is_recorded_with_what_it_activates():
    world, _ = changed(files(policies=STRICT))
    said = [r for (stream, _), r in sorted(world.tables.records.items()) if stream == "control"]
    assert [r.kind for r in said] == ["activation", "activation", "end-tick"]
    assert parse_time(BEGINS) == START + 7 * HOUR_MS


RENTS = {
    "task": "regression",
    "positive_label": None,
    "reference": None,
    "protected": [],
    "segments": [],
    "features": {"rooms": {"type": "numeric"}},
}


def refused(world, files_, references=None):
    """Return the code and the text of a refused set of files."""
    before = world.outcome(), len(world.tables.positioned)
    with pytest.raises(GuardianError) as caught:
        world.engine.activate(files_, references or world.references)
    assert (world.outcome(), len(world.tables.positioned)) == before
    return caught.value.code, str(caught.value)


def test_the_unit_cannot_change_under_one_name():
    world = World().activate(files(model(**RENTS), ()))
    code, what = refused(world, files(model(**RENTS, unit=10.0), ()))
    assert code == "catalog.forbidden-change"
    assert "unit" in what


@pytest.mark.parametrize("reference", [None, {"uri": "reference.csv"}], ids=["bare", "reference"])
def test_the_type_of_a_feature_cannot_change_under_one_name(reference):
    world = World().activate(files(model(reference=reference))).tell(EVENTS[:HALF]).drain()
    other = {"salary": {"type": "categorical"}, "purpose": {"type": "categorical"}}
    code, what = refused(world, files(model(reference=reference, features=other)))
    assert code == "catalog.forbidden-change"
    assert "salary" in what


def test_a_feature_that_was_removed_cannot_come_back_as_another_type():
    bare = {"reference": None, "features": {"salary": {"type": "numeric"}}}
    world = World().activate(files(model(reference=None))).tell(EVENTS[:HALF]).drain()
    world.activate(files(model(**bare), (POLICIES[1],)))
    world.tell(EVENTS[HALF:]).drain()
    back = {"salary": {"type": "numeric"}, "purpose": {"type": "numeric"}}
    code, what = refused(world, files(model(reference=None, features=back), (POLICIES[1],)))
    assert code == "catalog.forbidden-change"
    assert "purpose" in what


@pytest.mark.parametrize(
    "spec",
    [
        {"features": {"purpose": {"type": "categorical"}}, "protected": ["sex", "salary"]},
        {"features": {"sex": {"type": "numeric"}}, "protected": [], "segments": []},
    ],
    ids=["a number", "a group"],
)
def test_what_was_a_number_cannot_become_a_group_nor_a_group_a_number(spec):
    world = World().activate(files(model(reference=None), ())).tell(EVENTS[:HALF]).drain()
    assert refused(world, files(model(reference=None, **spec), ()))[0] == "catalog.forbidden-change"


@pytest.mark.parametrize("batch", [5, 200])
def test_a_removed_feature_is_counted_until_the_change_takes_effect(batch):
    fewer = model(features={"purpose": {"type": "categorical"}}, protected=[], segments=[])
    world, _ = changed(files(fewer, (policy("inputs", DRIFT),)), batch)
    got, same = world.outcome().panes, World().run(EVENTS).panes
    inputs = {key for key in same if key[3] == "inputs"}
    running, later = ({key for key in inputs if (key[2] < parse_time(BEGINS)) is until} for until in (True, False))
    assert {key[2] for key in running} == {START + h * HOUR_MS for h in range(7)}
    assert {key: got[key] for key in running} == {key: same[key] for key in running}
    assert not later & got.keys()  # Counted by other parameters.


def test_what_an_event_says_of_a_removed_personal_feature_is_not_kept_of_its_dead_letter():
    personal = {"salary": {"type": "numeric", "pii": True}, "purpose": {"type": "categorical"}}
    world = World().activate(files(model(features=personal))).tell(EVENTS[:HALF]).drain()
    world.activate(files(model(features={"purpose": {"type": "categorical"}}), (policy("inputs", DRIFT),)))
    case = Case(1000.0, "car", "f", 0.7, "perhaps", "yes")
    no_class = prediction("p", EVENTS[HALF].time, case, "1")
    world.tell([no_class]).drain()
    (letter,) = world.tables.dead_letters.values()
    assert letter.reason == "not-a-class"
    assert not letter.sample


def test_what_a_sum_that_would_overflow_says_of_a_removed_personal_feature_is_not_kept_either():
    both = {"rooms": {"type": "numeric"}, "street": {"type": "categorical", "pii": True}}
    world = World().activate(files(model(**RENTS | {"features": both}), ()))
    most, street = float(1 << 20), {"rooms": 3.0, "street": "High Street"}
    said = PredictionData(model="loans", features=street, prediction=most)
    world.tell([encode_prediction(f"r{i}", START + i, said) for i in range(2)]).drain()
    world.activate(files(model(**RENTS), ()))
    truths = [LabelData(prediction_id=f"r{i}", model="loans", label=-most / 2) for i in range(2)]
    world.tell([encode_label(START + 10 + i, label) for i, label in enumerate(truths)]).drain()
    (letter,) = world.tables.dead_letters.values()
    assert letter.reason == "value-out-of-range"
    assert not letter.sample


ALWAYS = {"alert": "Always", "metric": "quality.missing_share", "columns": ["purpose", "sex"], "warn": "< 0.95", "error": "< 0.9"}
BLIND = {**MISSING, "alert": "Blind", "require": {"rows": 1_000}}
GONE = {
    "column": (({**ALWAYS, "columns": ["purpose"]}, BLIND), {("Always", "warn", "sex"), ("Always", "error", "sex")}),
    "rung": (
        ({name: said for name, said in ALWAYS.items() if name != "error"}, BLIND),
        {("Always", "error", "sex"), ("Always", "error", "purpose")},
    ),
    "on_unknown": (
        (ALWAYS, {name: said for name, said in BLIND.items() if name != "on_unknown"}),
        {("Blind", "warn", "salary")},
    ),
}


@pytest.mark.parametrize("what", GONE)
def test_alerts_of_a_part_of_a_rule_that_is_gone_close_as_stale_and_the_others_stay(what):
    rules, gone = GONE[what]
    world, _ = changed(files(policies=(policy("inputs", *rules),)), first=files(policies=(policy("inputs", ALWAYS, BLIND),)))
    standing = world.outcome().standing.values()
    found = {(row["rule"], row["severity"], row["subject"]["column"]): row for row in standing}
    assert len(found) == len(standing) == 5
    assert {key for key, row in found.items() if row["stale"]} == gone
    for key, row in found.items():
        assert (row["state"], row["ended_at"]) == (("resolved", BEGINS) if key in gone else ("firing", None))


LONGER = {"horizon": {"labels": {"horizon": "9h"}}, "allowed_lateness": {"allowed_lateness": "9h"}}


@pytest.mark.parametrize("restart", [False, True], ids=["", "restart"])
@pytest.mark.parametrize("what", LONGER)
def test_rows_that_have_gone_do_not_come_back_with_a_longer_span(what, restart):
    """Nobody remembers whether a copy was counted: it is too late, as it was before the files changed."""
    world = World().activate(files(model(labels={"horizon": "1h"}))).tell(EVENTS[:HALF]).drain()
    before = world.outcome()
    world.activate(files(model(**({"labels": {"horizon": "1h"}} | LONGER[what]))))
    if restart:
        world.start()
    world.tell(EVENTS[:HALF]).drain(50)
    got = world.outcome()
    assert got.panes == before.panes
    for fate in ("counted", "joined"):
        assert got.total(fate) == before.total(fate)
    assert got.total("too-late") > HALF / 2
    assert got.total("duplicate") > 20  # The rows of the newest panes are there.
    assert sum(got.fates.values()) == 2 * HALF


def test_panes_that_were_live_at_a_change_live_as_long_as_the_longer_span_says():
    world = World().activate(files(model(labels={"horizon": "1h"}))).tell(EVENTS[:HALF]).drain()
    live = EVENTS[HALF].time - 90 * 60_000
    world.activate(files(model(labels={"horizon": "9h"}))).tell(EVENTS[HALF:]).drain()
    before = world.outcome()
    world.tell([said for said in EVENTS if said.time >= live]).drain()
    got = world.outcome()
    assert got.panes == before.panes
    assert got.total("too-late") == before.total("too-late")
