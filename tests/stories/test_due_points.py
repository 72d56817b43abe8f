"""When windows are judged: at their end plus lateness, when their labels are there, as often as a rule says, and finally."""

import json
from collections import defaultdict

import pytest

from guardian.testing.stories import ACCURACY, START, Case, Plot, Said, World, files, label, policy, prediction
from guardian.units import HOUR_MS, MINUTE_MS, format_time

LATENESS, HORIZON, LEAST = 30 * MINUTE_MS, 3 * HOUR_MS, 0.95


def due_points(outcome, rule: str, severity: str) -> dict[str, list[str]]:
    """By window end, when a rule's verdicts were recorded."""
    found = defaultdict(list)
    for row in outcome.verdicts:
        if (row["rule"], row["severity"]) == (rule, severity):
            found[row["window"]["end"]].append(row["due_at"])
    return dict(found)


@pytest.mark.parametrize("seed", range(4))
def test_a_label_rule_is_judged_again_at_the_first_pane_boundary_at_which_its_coverage_is_reached(seed):
    events = Plot(seed=seed, an_hour=12, hours=8, delay=5 * HOUR_MS // 2).events()
    outcome = World().run(events, 50)
    said, known = {}, {}
    for at, data in ((e.time, json.loads(e.event)) for e in events):
        if data["type"].endswith("label.v1"):
            known.setdefault(data["data"]["prediction_id"], at)
        else:
            said[data["id"]] = at
    want = {}
    for hour in range(3, 9):
        end = START + hour * HOUR_MS
        mine = [name for name, at in said.items() if end - 2 * HOUR_MS <= at < end]

        def covered(at: int, mine=mine) -> bool:
            return sum(known[name] < at for name in mine) >= LEAST * len(mine)

        first, final = end + LATENESS, end + LATENESS + HORIZON
        between = [] if covered(first) else [b for b in range(end + HOUR_MS, final, HOUR_MS) if covered(b)][:1]
        want[format_time(end)] = [format_time(at) for at in (first, *between, final)]
    assert due_points(outcome, "Accuracy", "warn") == want
    assert any(len(found) == 3 for found in want.values())


def corrected() -> list[Said]:
    """Right at first; hours later every truth turns out to be the other one. A bystander keeps the clock going."""
    case, out = Case(1000.0, "car", "f", 0.9, "yes", "yes"), []
    for i in range(20):
        at = START + HOUR_MS + i * MINUTE_MS
        later = START + 3 * HOUR_MS + 10 * MINUTE_MS + i
        out += [Said(at, prediction(f"p{i}", at, case, "1")), Said(at + 1, label(f"p{i}", at + 1, "yes"))]
        out.append(Said(later, label(f"p{i}", later, "no")))
    out += [Said(at, label("nobody", at, "yes")) for at in range(START + HOUR_MS, START + 6 * HOUR_MS, 10 * MINUTE_MS)]
    early = START + 59 * MINUTE_MS
    return sorted([*out, Said(early, prediction("early", early, case, "1"))], key=lambda e: (e.time, e.event))


@pytest.mark.parametrize(
    ("restate", "due"), [(None, ["02:30", "05:30"]), ("1h", ["02:30", "04:00", "05:30"]), ("3h", ["02:30", "05:00", "05:30"])]
)
def test_a_window_is_judged_again_as_often_as_its_rule_says_until_it_is_final(restate, due):
    rule = {**ACCURACY, "restate_every": restate} if restate else ACCURACY
    world = World()
    world.activate(files(policies=(policy("outcome", rule, defaults={"window": "1h", "every": "1h"}),)))
    world.tell(corrected()).drain(7)
    world.engine.end()
    outcome = world.outcome()
    assert due_points(outcome, "Accuracy", "warn") == {
        format_time(START + 2 * HOUR_MS): [f"2024-03-01T{at}:00.000Z" for at in due],
    }
    verdicts = [row["verdict"] for row in outcome.verdicts if row["severity"] == "warn"]
    assert verdicts == ["satisfied", *["violated"] * (len(due) - 1)]


def test_a_restart_after_every_step_forgets_no_window_and_not_that_its_labels_were_there():
    world = World().activate(files(policies=(policy("outcome", ACCURACY, defaults={"window": "1h", "every": "1h"}),)))
    world.tell(corrected())
    while world.engine.step(3):
        world.start()
    world.engine.end()
    (due,) = due_points(world.outcome(), "Accuracy", "warn").values()
    assert due == [f"2024-03-01T{at}:00.000Z" for at in ("02:30", "05:30")]


def test_a_window_that_comes_to_exist_when_it_is_due_for_the_last_time_is_judged_once():
    case = Case(1000.0, "car", "f", 0.9, "yes", "yes")
    clock = START + 4 * HOUR_MS + 10 * MINUTE_MS  # The pane of hour 0 departs at 04:30.
    late = [prediction("late", START, case, "1"), label("late", START + 1, "yes")]
    world = World().activate(files(policies=(policy("inputs", {"alert": "Few", "metric": "quality.volume", "warn": "< 5"},
                                                    defaults={"window": "1h", "every": "1h"}),)))  # fmt: skip
    world.tell([prediction("a", clock, case, "1"), *late]).drain(1)
    world.engine.end()
    outcome = world.outcome()
    assert outcome.total("too-late") == 0
    first = [row for row in outcome.verdicts if row["window"]["end"] == format_time(START + HOUR_MS)]
    assert [(row["due_at"], row["final"], row["n"]) for row in first] == [("2024-03-01T04:30:00.000Z", True, 1)]
