"""The alert fold: a plain reference fold as oracle, any order of revisions, settling, and each transition by itself."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.decisions.alerts import Kind, Track, close_stale, refold, signal_of, unknown_signal
from guardian.decisions.episodes import AlertKey, Point, Signal
from guardian.decisions.verdict import Reason, Verdict
from guardian.errors import InvalidStateError
from guardian.metrics.base import Subject

KEY = AlertKey("m", "1", "p", "r", "warn", Subject(column="a"))
DAY = 10
V, S, N = Signal.VIOLATED, Signal.SATISFIED, Signal.NEITHER


def point(day: int, signal: Signal, mark: float = 0.0) -> Point:
    return Point((day - 7) * DAY, day * DAY, signal, signal + mark, signal - 1.0, signal + 1.0, 100 + day, 0.2, "why")


def opened(run: list[Point], state: str) -> dict:
    """Describe the run of violated windows seen so far, as of its last one."""
    first, last = ((p.window_start, p.window_end) for p in (run[0], run[-1]))
    figures = {name: getattr(run[-1], name) for name in ("value", "low", "high", "n", "threshold", "reason")}
    at = last[1] if state == "firing" else None
    dates = {"first_window": first, "last_window": last, "started_at": at, "ended_at": None}
    return {"state": state, "windows": len(run), **dates, **figures}


def naive(points: list[Point], open_after: int, close_after: int) -> dict[str, dict]:
    """Fold once, with lists and counters, and nothing of the product's."""
    out, run, firing, good = [], [], None, 0
    for p in points:
        if p.signal == 1:
            run, good = [*run, p], 0
            if firing is not None:
                firing["last_window"] = (p.window_start, p.window_end)
            elif len(run) >= open_after:
                firing = opened(run, "firing")
        elif p.signal == -1:
            run, good = [], good + 1
            if firing is not None and good >= close_after:
                out, firing = [*out, firing | {"state": "resolved", "ended_at": p.window_end}], None
    still_open = [firing] if firing is not None else [opened(run, "pending")] if run else []
    return {KEY.episode_id(e["first_window"][1]): e for e in (*out, *still_open)}


class World:
    """What the database would hold after every transition."""

    def __init__(self, open_after: int = 2, close_after: int = 2) -> None:
        self.track, self.rows, self.counts = Track(), {}, {"open_after": open_after, "close_after": close_after}

    def say(self, *points: Point, settled_until: int = -1) -> list[str]:
        self.track, moves = refold(self.track, KEY, points, settled_until=settled_until, **self.counts)
        return self.apply(moves)

    def apply(self, moves) -> list[str]:
        for move in moves:
            if move.kind is Kind.VANISHED:
                del self.rows[move.episode.id]
            else:
                self.rows[move.episode.id] = move.episode
        return [move.kind.value for move in moves]

    def standing(self) -> dict[str, dict]:
        alive = {id_: e for id_, e in self.rows.items() if e.state != "retracted"}
        dropped = ("id", "stale", "replaces")
        plain = {id_: {k: v for k, v in e.to_json().items() if k not in dropped} for id_, e in alive.items()}
        return {id_: e | {k: tuple(e[k]) for k in ("first_window", "last_window")} for id_, e in plain.items()}


signals = st.sampled_from([S, N, V])


@st.composite
def histories(draw):
    """Final signals, and a schedule: each window's drafts before its final revision, windows in any order, in groups."""
    finals = draw(st.lists(signals, min_size=1, max_size=12))
    drafts = [draw(st.lists(signals, max_size=2)) for _ in finals]
    turns = draw(st.permutations([day for day, d in enumerate(drafts, 1) for _ in range(len(d) + 1)]))
    left = {day: [*((s, 0.5, False) for s in d), (finals[day - 1], 0.0, True)] for day, d in enumerate(drafts, 1)}
    schedule = [(day, *left[day].pop(0)) for day in turns]
    sizes = draw(st.lists(st.integers(1, 4), min_size=len(schedule), max_size=len(schedule)))
    settles = draw(st.lists(st.booleans(), min_size=len(schedule), max_size=len(schedule)))
    return finals, schedule, sizes, settles


@given(histories(), st.integers(1, 3), st.integers(1, 3))
def test_any_order_of_revisions_ends_where_folding_the_final_windows_once_ends(history, open_after, close_after):
    finals, schedule, sizes, settles = history
    world, done, left = World(open_after, close_after), set(), list(schedule)
    for size, settle in zip(sizes, settles, strict=True):
        group, left = left[:size], left[size:]
        done |= {day for day, _, _, final in group if final}
        until = next(day for day in range(len(finals) + 1) if day + 1 not in done) if settle else -1
        world.say(*(point(day, signal, mark) for day, signal, mark, _ in group), settled_until=until * DAY)
        assert Track.from_json(json.loads(json.dumps(world.track.to_json())), KEY) == world.track
    assert world.standing() == naive([point(day, s) for day, s in enumerate(finals, 1)], open_after, close_after)


@given(st.lists(signals, max_size=40), st.integers(1, 3), st.integers(1, 3))
def test_settled_windows_are_dropped_and_change_nothing(finals, open_after, close_after):
    settled, kept = World(open_after, close_after), World(open_after, close_after)
    for day, signal in enumerate(finals, 1):
        assert settled.say(point(day, signal), settled_until=day * DAY) == kept.say(point(day, signal))
        assert settled.track.steps == ()
        assert settled.track.alert_of(day * DAY) == kept.track.alert_of(day * DAY)
    assert settled.standing() == kept.standing()


def test_opens_extends_and_closes():
    world = World()
    told = [world.say(point(day, s)) for day, s in enumerate([V, N, V, V, S, N, V, S, S, S], 1)]
    assert told == [["pending"], [], ["firing"], ["extended"], [], [], ["extended"], [], ["resolved"], []]
    (episode,) = world.rows.values()
    assert (episode.first_window[1], episode.started_at, episode.last_window[1], episode.ended_at) == (10, 30, 70, 90)
    assert (episode.value, episode.n, episode.windows) == (1.0, 103, 2)


def test_a_window_is_of_the_alert_that_is_open_or_that_it_closes():
    world = World(close_after=1)
    world.say(*(point(day, s) for day, s in enumerate([S, V, N, V, S, N], 1)))
    (id_,) = world.rows
    assert [world.track.alert_of(day * DAY) for day in range(1, 8)] == [None, id_, id_, id_, id_, None, None]


def test_a_satisfied_window_ends_a_pending_run_without_a_trace():
    world = World()
    assert [world.say(point(1, V)), world.say(point(2, S))] == [["pending"], ["vanished"]]
    assert world.rows == {}


def test_an_alert_of_one_window_fires_at_once():
    assert World(open_after=1).say(point(1, V)) == ["firing"]


def test_a_revision_of_history_raises_late_and_may_close_as_well():
    world = World()
    world.say(*(point(day, s) for day, s in enumerate([V, N, S, S], 1)))
    assert world.rows == {}
    assert world.say(point(2, V)) == ["raised_late", "resolved"]
    (episode,) = world.rows.values()
    assert (episode.started_at, episode.ended_at) == (20, 40)


def test_a_revision_of_the_newest_window_is_not_late():
    world = World()
    world.say(point(1, V), point(2, N))
    assert world.say(point(2, V)) == ["firing"]


def test_the_same_first_window_keeps_the_alert_and_amends_it():
    world = World()
    world.say(*(point(day, V) for day in (1, 2, 3)))
    (before,) = world.rows
    assert world.say(point(2, N)) == ["amended"]
    assert list(world.rows) == [before]
    assert world.rows[before].started_at == 30


def test_values_of_the_opening_window_are_amended():
    world = World()
    world.say(point(1, V), point(2, V))
    assert world.say(point(2, V, mark=0.25)) == ["amended"]
    assert world.say(point(2, V, mark=0.25)) == []


def test_a_closing_that_never_was_reopens_the_same_alert():
    world = World()
    world.say(*(point(day, s) for day, s in enumerate([V, V, S, S], 1)))
    assert world.say(point(3, V)) == ["amended"]
    (episode,) = world.rows.values()
    assert (episode.state, episode.ended_at) == ("firing", None)


def test_another_first_window_replaces_the_alert():
    world = World()
    world.say(*(point(day, V) for day in (1, 2, 3)))
    (old,) = world.rows
    assert world.say(point(1, S)) == ["retracted", "firing"]
    new = world.track.current
    assert new.replaces == (old,)
    assert new.first_window[1] == 20
    assert world.rows[old].state == "retracted"


def test_one_alert_cut_in_two_is_kept_by_the_first_and_leaves_the_second_new():
    world = World(close_after=1)
    world.say(*(point(day, V) for day in range(1, 6)))
    (old,) = world.rows
    assert world.say(point(3, S)) == ["resolved", "firing"]
    assert world.rows[old].ended_at == 30
    assert world.track.current.replaces == ()


def test_two_alerts_joined_retract_the_second():
    world = World(close_after=1)
    world.say(*(point(day, s) for day, s in enumerate([V, V, S, V, V], 1)))
    first, second = world.rows
    assert world.say(point(3, N)) == ["retracted", "amended"]
    assert (world.rows[first].state, world.rows[second].state) == ("firing", "retracted")


def test_two_alerts_replaced_by_one_are_both_listed():
    world = World(close_after=1)
    world.say(*(point(day, s) for day, s in enumerate([V, V, S, V, V], 1)))
    old = tuple(world.rows)
    world.say(point(3, N), point(1, S))
    assert world.track.current.replaces == old


def test_an_alert_taken_back_to_pending_is_told_and_retracted_when_the_run_ends():
    world = World()
    world.say(point(1, V), point(2, V))
    (id_,) = world.rows
    assert world.say(point(2, N)) == ["amended"]
    assert world.rows[id_].state == "pending"
    again = World()
    again.track, again.rows = world.track, dict(world.rows)
    assert again.say(point(3, V)) == ["firing"]
    assert world.say(point(3, S)) == ["retracted"]


def test_a_run_that_nobody_was_told_of_hands_on_what_it_stood_for():
    world = World(open_after=3)
    world.say(*(point(day, V) for day in (1, 2, 3)))
    (old,) = world.rows
    world.say(point(1, S))
    assert (world.track.current.state, world.track.current.replaces) == ("pending", (old,))
    assert world.say(point(2, S), point(4, V), point(5, V)) == ["vanished", "firing"]
    assert world.track.current.replaces == (old,)


@pytest.mark.parametrize("before", [[], [point(1, Signal.SATISFIED)]])
def test_of_two_points_of_one_window_the_later_counts(before):
    counts = {"open_after": 1, "close_after": 1, "settled_until": -1}
    track, _ = refold(Track(), KEY, before, **counts)
    track, moves = refold(track, KEY, [point(2, Signal.SATISFIED), point(2, Signal.VIOLATED)], **counts)
    assert [move.kind for move in moves] == [Kind.FIRING]
    assert track.current is not None


def test_a_settled_window_cannot_be_judged_again():
    world = World()
    world.say(point(1, V), settled_until=10)
    with pytest.raises(InvalidStateError, match="settled"):
        world.say(point(1, S))


def test_windows_keep_the_counts_they_were_judged_by():
    track, _ = refold(Track(), KEY, [point(1, V)], open_after=2, close_after=1, settled_until=-1)
    track, moves = refold(track, KEY, [point(2, V)], open_after=5, close_after=1, settled_until=-1)
    assert moves[0].episode.state == "pending"
    track, moves = refold(track, KEY, [replace(point(1, V), n=1)], open_after=2, close_after=1, settled_until=-1)
    assert track.current.state == "pending"


def test_stale_closes_what_is_open_and_stays_closed_through_revisions():
    world = World()
    world.say(point(1, V), point(2, V))
    world.track, moves = close_stale(world.track, KEY, 55)
    assert world.apply(moves) == ["resolved"]
    (episode,) = world.rows.values()
    assert (episode.stale, episode.ended_at) == (True, 55)
    assert close_stale(world.track, KEY, 60) == (world.track, ())
    assert world.say(point(2, V, mark=0.1)) == ["amended"]
    assert world.track.current is None
    assert world.say(point(6, V)) == ["pending"]


def test_stale_drops_a_pending_run_and_leaves_an_empty_track_alone():
    world = World()
    assert close_stale(world.track, KEY, 5) == (world.track, ())
    world.say(point(1, V), settled_until=10)
    world.track, moves = close_stale(world.track, KEY, 15)
    assert world.apply(moves) == ["vanished"]


def test_a_version_that_retired_before_its_history_changed_closes_what_comes_late():
    world = World()
    world.say(point(1, V), point(2, N))
    world.track, moves = close_stale(world.track, KEY, 30)
    world.apply(moves)
    assert world.say(point(2, V)) == ["raised_late", "resolved"]
    assert [e.stale for e in world.rows.values()] == [True]


def test_an_unknown_format_is_refused():
    with pytest.raises(InvalidStateError, match="format 9"):
        Track.from_json({"format": 9}, KEY)


def test_ids_are_of_the_identity_and_the_first_window():
    keys = [
        KEY, replace(KEY, model="n"), replace(KEY, version="2"), replace(KEY, policy="q"), replace(KEY, rule="s"),
        replace(KEY, severity="error"), replace(KEY, subject=Subject(output="a")), replace(KEY, condition="unknown"),
    ]  # fmt: skip
    assert len({key.episode_id(end) for key in keys for end in (10, 20)}) == 2 * len(keys)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_violated_and_satisfied_move_a_threshold_alert(verdict):
    assert signal_of(verdict) == {"violated": V, "satisfied": S}.get(verdict.value, N)


@pytest.mark.parametrize(
    ("verdict", "reason", "final", "signal"),
    [
        (Verdict.UNKNOWN, Reason.NO_DATA, False, V),
        (Verdict.UNKNOWN, Reason.IMMATURE_LABELS, False, N),
        (Verdict.UNKNOWN, Reason.IMMATURE_LABELS, True, V),
        (Verdict.UNKNOWN, Reason.PARAMETERS_CHANGED, True, N),
        (Verdict.INCONCLUSIVE, Reason.STRADDLES, True, S),
        (Verdict.VIOLATED, Reason.BEYOND, False, S),
        (Verdict.SATISFIED, Reason.WITHIN, False, S),
    ],
)
def test_what_counts_as_unknown(verdict, reason, final, signal):
    assert unknown_signal(verdict, reason, final) is signal
