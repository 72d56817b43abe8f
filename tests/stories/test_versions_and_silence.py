"""Versions in shadow, versions that fall silent, and clocks that silence moves on."""

import pytest

from guardian.audit.chain import parse_record
from guardian.testing.stories import ACCURACY, DRIFT, MISSING, START, Case, Plot, World, files, label, model, policy, prediction
from guardian.units import HOUR_MS, MINUTE_MS, format_time

LIVE = {"clock": "live", "retire_after": "4h"}
BOTH = (
    policy("inputs", {**DRIFT, "on_unknown": {"alert": "error", "after": 2}}, match={"models": ["loans"], "versions": "all"}),
    policy("outcome", ACCURACY, match={"models": ["loans"], "versions": "all"}),
)

AT_ONCE = {"on_unknown": {"alert": "error", "after": 1}}
ALL_KINDS = (
    policy(
        "inputs",
        {**DRIFT, **AT_ONCE, "window": "1h"},
        {"alert": "Silent", "metric": "quality.volume", "error": "< 5", "window": "1h", "open_after": 1},
    ),
)


def test_one_label_serves_every_version_that_scored_its_id_and_counts_once():
    plot = Plot(hours=5, an_hour=10, versions=("1", "2", "3"), delay=HOUR_MS)
    world = World().activate(files(policies=BOTH)).tell(plot.events()).drain(77)
    got = world.outcome()
    assert got.total("counted") == 3 * 50
    assert got.total("joined") == 50
    labelled = {v: sum(p.labelled for (own, _), p in panes(world) if own == v) for v in ("1", "2", "3")}
    assert labelled == {"1": 50, "2": 50, "3": 50}
    assert {row["version"] for row in got.verdicts} == {"1", "2", "3"}


def test_a_versions_counts_do_not_depend_on_who_else_scored():
    together = Plot(hours=5, an_hour=10, versions=("1", "2"), delay=HOUR_MS).events()
    alone = [said for said in together if b'"version":"2"' not in said.event]
    both, one = World().run(together), World().run(alone)
    assert {key: blob for key, blob in both.panes.items() if key[1] == "1"} == one.panes
    assert both.finals == one.finals  # The story's policies are about the champion.


def panes(world):
    return list(world.engine.state.models["loans"].panes.items())


def retired(world, version: str) -> bool:
    """Whether the alerts of a version are closed because nothing has come of it since."""
    last = world.engine.state.models["loans"].versions[version].last
    return world.engine.memories["loans"].retired.get(version, last - 1) >= last


def live(hours: int, events, batch=None):
    """Tell events as they happen, an hour at a time, with the engine told of silence every quarter of an hour."""
    world = World(wall=START)
    world.activate(files(model(**LIVE), BOTH))
    for quarter in range(4 * hours):
        until = START + (quarter + 1) * 15 * MINUTE_MS
        now = [said for said in events if until - 15 * MINUTE_MS <= said.time < until]
        world.wall = until
        world.tell(now).drain(batch or max(len(now), 1))
        world.engine.idle()
    return world


HOURS_OF_TRAFFIC = Plot(hours=3, an_hour=12, delay=HOUR_MS // 2, drifts=(0, 3), versions=("1",))


def test_silence_moves_a_live_clock_and_makes_windows_without_data():
    world = live(8, HOURS_OF_TRAFFIC.events())
    clock = world.engine.clocks["loans"]
    assert clock == START + 8 * HOUR_MS - 30 * MINUTE_MS
    ends = {row["window"]["end"]: row["reason"] for row in world.outcome().verdicts if row["rule"] == "Drift"}
    assert max(ends) == format_time(START + 7 * HOUR_MS)
    assert {ends[format_time(START + h * HOUR_MS)] for h in (5, 6, 7)} == {"no-data"}
    assert len(ticks(world)) > 5


def test_windows_without_data_open_the_alert_that_counts_them():
    alerts = [row for row in live(7, HOURS_OF_TRAFFIC.events()).outcome().alerts.values() if row["condition"] == "unknown"]
    assert [(row["rule"], row["subject"], row["state"]) for row in alerts if row["rule"] == "Drift"] == [
        ("Drift", {"column": "purpose"}, "firing")
    ]


def test_a_clock_that_traffic_moves_is_not_moved_by_idleness():
    world = World(wall=START + HOUR_MS).activate(files(model(**LIVE), BOTH))
    world.tell([label("a", START + HOUR_MS, "yes")]).drain()
    world.wall += 29 * MINUTE_MS
    assert world.engine.idle().positioned == []
    world.wall += MINUTE_MS
    assert world.engine.idle().positioned == []  # Wall time minus lateness is where the clock is already.
    world.wall += MINUTE_MS
    assert world.engine.idle().positioned == []  # Nothing depends on a clock a minute past the hour: no record is made of it.
    world.wall += 29 * MINUTE_MS
    assert [p.body["clock"] for p in world.engine.idle().positioned] == [START + HOUR_MS + 30 * MINUTE_MS]


def test_a_replayed_clock_knows_no_silence():
    world = World().activate().tell(HOURS_OF_TRAFFIC.events()).drain()
    before = world.engine.clocks
    assert world.engine.idle().positioned == []
    assert world.engine.clocks == before


def test_the_end_tick_makes_no_window_that_no_event_made():
    got = World().run(HOURS_OF_TRAFFIC.events())
    assert max(row["window"]["end"] for row in got.verdicts) == format_time(START + 3 * HOUR_MS)
    assert all(row["reason"] != "no-data" for row in got.verdicts)
    assert {row["id"] for row in got.verdicts} == got.finals.keys()


def test_the_end_tick_comes_once():
    world = World()
    world.run(HOURS_OF_TRAFFIC.events())
    before = world.outcome()
    assert world.engine.end().positioned == []
    assert world.outcome() == before


def test_a_crash_between_idle_ticks_changes_nothing():
    want = live(7, HOURS_OF_TRAFFIC.events()).outcome()
    world = World(wall=START).activate(files(model(**LIVE), BOTH))
    for quarter in range(28):
        until = START + (quarter + 1) * 15 * MINUTE_MS
        world.wall = until
        world.tell([said for said in HOURS_OF_TRAFFIC.events() if until - 15 * MINUTE_MS <= said.time < until])
        active = dict(world.engine._counting._active)
        world.start()
        world.engine._counting._active = active  # Who starts anew waits a whole span before it calls a model silent.
        world.drain(5)
        world.engine.idle()
    got = world.outcome()
    assert (got.panes, got.records, got.alerts, got.fates) == (want.panes, want.records, want.alerts, want.fates)


def two_versions(hours: int, quits: int):
    """Two versions score for some hours, then one of them goes on alone."""
    both = Plot(hours=quits, an_hour=40, versions=("1", "2"), delay=HOUR_MS // 2, drifts=(0, hours)).events()
    one = Plot(seed=8, hours=hours, an_hour=40, versions=("1",), delay=HOUR_MS // 2, drifts=(0, hours)).events()
    later = [said for said in one if said.time >= START + quits * HOUR_MS + HOUR_MS // 2]
    return sorted((*both, *later), key=lambda said: said.time)


@pytest.mark.parametrize("clock", ["live", "replay"])
def test_a_version_without_traffic_is_retired_and_its_alerts_are_stale(clock):
    events = two_versions(10, 4)
    recorded = World().activate(files(model(retire_after="4h"), BOTH))
    world = live(10, events) if clock == "live" else recorded.tell(events).drain(50)
    got = world.outcome()
    mine = [
        row for row in got.alerts.values() if row["version"] == "2" and row["rule"] == "Drift" and row["condition"] == "threshold"
    ]
    assert {(row["state"], row["stale"]) for row in mine} == {("resolved", True)}
    assert {row["ended_at"] for row in mine} <= {format_time(START + h * HOUR_MS) for h in (8, 9)}
    theirs = [
        row for row in got.alerts.values() if row["version"] == "1" and row["rule"] == "Drift" and row["condition"] == "threshold"
    ]
    assert {(row["state"], row["stale"]) for row in theirs} == {("firing", False)}
    assert retired(world, "2")


def test_a_version_that_comes_back_is_judged_again():
    events = two_versions(9, 3)
    world = live(9, events)
    back = Plot(seed=9, hours=11, an_hour=12, versions=("2",), delay=HOUR_MS // 2, drifts=(0, 20)).events()
    for said in (said for said in back if said.time >= START + 9 * HOUR_MS):
        world.wall = max(world.wall, said.time)
        world.tell([said])
    world.drain(10)
    assert not retired(world, "2")
    world.wall += 2 * HOUR_MS
    world.engine.idle()
    fires = [row for row in world.outcome().alerts.values() if row["version"] == "2" and row["state"] == "firing"]
    assert fires


def test_the_last_version_of_a_recording_is_not_retired_by_its_end():
    world = World()
    world.activate(files(model(retire_after="1h"), BOTH)).tell(HOURS_OF_TRAFFIC.events()).drain()
    world.engine.end()
    assert not any(row["stale"] for row in world.outcome().alerts.values())


def test_more_versions_than_a_model_may_have_are_dead_letters_whatever_the_batches():
    from guardian.pipeline.state import VERSIONS_MAX

    event = next(said.event for said in HOURS_OF_TRAFFIC.events() if b"salary" in said.event)
    log = [event.replace(b'"version":"1"', b'"version":"v%d"' % i) for i in range(VERSIONS_MAX + 20)]
    log += log[:5]
    for batch in (None, 50):
        world = World().activate().tell(log).drain(batch or len(log))
        assert sorted(offset for _, offset, _ in world.tables.dead_letters) == list(range(VERSIONS_MAX, VERSIONS_MAX + 20))
        assert world.outcome().total("counted") == VERSIONS_MAX
        assert world.outcome().total("duplicate") == 5


def test_rules_that_need_rows_are_unknown_and_say_so():
    quiet = files(policies=(policy("inputs", {**MISSING, "require": {"rows": 1000}}),))
    world = World().activate(quiet).tell(Plot(hours=5).events()).drain()
    world.engine.end()
    got = world.outcome()
    assert {row["reason"] for row in got.finals.values()} == {"too-few-rows"}
    (alert,) = got.alerts.values()
    assert (alert["condition"], alert["severity"], alert["state"]) == ("unknown", "warn", "firing")


def ticks(world) -> list[int]:
    rows = [r for (stream, _), r in sorted(world.tables.records.items()) if stream == "control" and r.kind == "idle-tick"]
    return [parse_record(r.body_bytes)["body"]["clock"] for r in rows]


def test_idle_ticks_are_recorded_only_where_something_depends_on_the_clock():
    """Instants lie on the hour and half an hour after it; ticks come every 7 minutes."""
    world = World(wall=START + HOUR_MS).activate(files(model(**LIVE), BOTH))
    world.tell([label("a", START + HOUR_MS, "yes")]).drain()
    for _ in range(60):
        world.wall += 7 * MINUTE_MS
        world.engine.idle()
    clocks = ticks(world)
    until = world.wall - 30 * MINUTE_MS
    assert clocks == list(range(START + HOUR_MS + 30 * MINUTE_MS, until + 1, 30 * MINUTE_MS))
    assert world.engine.clocks["loans"] == clocks[-1]


@pytest.mark.parametrize("lateness", ["0s", "30m", "3h"])
@pytest.mark.parametrize("step", [15, 60, 600], ids=lambda minutes: f"every {minutes} minutes")
def test_a_retired_version_makes_no_further_windows_and_its_alerts_stay_closed(lateness, step):
    """Whether the clock is told of silence often or seldom; the last prediction lies on a pane start, where spans meet."""
    last = prediction("last", START + 3 * HOUR_MS, Case(None, "moon", "f", 0.7, "yes", "no"), "1")
    world = World(wall=START + 3 * HOUR_MS)
    world.activate(files(model(**LIVE, allowed_lateness=lateness), ALL_KINDS))
    world.tell([*(said for said in HOURS_OF_TRAFFIC.events() if said.time < START + 3 * HOUR_MS), last]).drain()
    seen = []
    for _ in range(30 * 60 // step):
        world.wall += step * MINUTE_MS
        world.engine.idle()
        seen.append(retired(world, "1"))
    got = world.outcome()
    assert seen[-1]
    assert max(row["window"]["end"] for row in got.verdicts) == format_time(START + 7 * HOUR_MS)
    assert {row["rule"] for row in got.alerts.values() if row["stale"]} >= {"Drift"}
    assert {row["state"] for row in got.standing.values()} == {"resolved"}


def test_an_empty_window_of_a_live_model_has_a_volume_of_zero_which_can_be_too_little():
    volume = {"alert": "Silent", "metric": "quality.volume", "error": "< 5"}
    rules = (policy("inputs", volume, defaults={"window": "1h", "every": "1h", "open_after": 2, "close_after": 1}),)
    world = World(wall=START).activate(files(model(**LIVE), rules))
    for hour in range(8):
        world.wall = START + (hour + 1) * HOUR_MS
        now = [said for said in HOURS_OF_TRAFFIC.events() if START + hour * HOUR_MS <= said.time < world.wall]
        world.tell(now).drain()
        world.engine.idle()
    got = world.outcome()
    rows = {row["window"]["end"]: row for row in got.verdicts}
    empty = [rows[format_time(START + hour * HOUR_MS)] for hour in (4, 5, 6)]
    assert {(row["verdict"], row["value"], row["n"]) for row in empty} == {("violated", 0, 0)}
    assert rows[format_time(START + 3 * HOUR_MS)]["verdict"] == "satisfied"
    (alert,) = got.alerts.values()
    assert (alert["rule"], alert["started_at"]) == ("Silent", format_time(START + 5 * HOUR_MS))


def test_labels_of_a_model_that_declares_none_are_dead_letters():
    unlabelled = files(model(labels=None, retain="3h"), (policy("inputs", DRIFT, MISSING),))
    events = HOURS_OF_TRAFFIC.events()
    told = [i for i, said in enumerate(events) if b"prediction_id" in said.event]
    for batch in (7, 1_000):
        world = World().activate(unlabelled).tell(events).drain(batch)
        assert sorted(offset for _, offset, _ in world.tables.dead_letters) == told
        assert {letter.reason for letter in world.tables.dead_letters.values()} == {"labels-not-declared"}
        got = world.outcome()
        assert got.total("dead-lettered") == len(told)
        assert sum(got.fates.values()) == len(events)
        assert {key[3] for key in got.panes} == {"inputs"}


def test_labels_count_from_when_they_are_declared():
    events = HOURS_OF_TRAFFIC.events()
    half = len(events) // 2
    world = World().activate(files(model(labels=None, retain="3h"), (policy("inputs", DRIFT),))).tell(events[:half]).drain()
    letters = len(world.tables.dead_letters)
    world.activate().tell(events[half:]).drain()
    assert len(world.tables.dead_letters) == letters > 0
    assert world.outcome().total("joined") > 0
