"""Alerts as a fold of the latest revisions in window order, and what a new or revised window changes in them.

Takes the memory of one alert identity and windows, new or judged again, in any order. Gives the next memory and transitions
that say what became of which episode. Never: reads a clock, or lets the order in which revisions came decide what holds.

A revision refolds from its window on. An episode whose id comes out again keeps it; each new one replaces the overlapping old
ones that did not, and those become retracted. A pending run that ends was told to nobody and vanishes.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from guardian.decisions.episodes import AlertKey, AlertState, Episode, Fold, Point, Signal, step
from guardian.decisions.verdict import Reason, Verdict
from guardian.errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NEVER: Final = -(1 << 62)  # Before every window.
_EVER: Final = (1 << 62, True)  # After every window.
_FORMAT: Final = 1  # Of a stored track.


class Kind(StrEnum):
    """What became of an episode. Public: alert records and announcements carry it."""

    PENDING = "pending"
    FIRING = "firing"
    RAISED_LATE = "raised_late"  # Firing, in a window older than one already folded: a revision of history opened it.
    RESOLVED = "resolved"
    RETRACTED = "retracted"
    AMENDED = "amended"  # The same alert, but a revision moved its dates or values.
    EXTENDED = "extended"  # The same alert, a later violated window, be it newly judged or restated; news to its row alone.
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one episode.

    Attributes:
        kind: What became of it.
        episode: As it is now; of one that vanished or was retracted, as it was last.
    """

    kind: Kind
    episode: Episode


@dataclass(frozen=True, slots=True)
class _Step:
    """One window that may still be revised, the rule's counts that hold for it, and the fold after it."""

    point: Point
    open_after: int
    close_after: int
    fold: Fold = field(default_factory=Fold)

    @property
    def place(self) -> tuple[int, bool]:
        return self.point.window_end, self.point.signal is Signal.STALE


@dataclass(frozen=True, slots=True)
class Track:
    """The memory of one alert identity. Bounded: only windows that may still be revised are kept one by one.

    Attributes:
        settled: The fold after the last window that can no longer change.
        settled_until: Windows that end here or earlier can no longer change.
        newest: End of the newest window folded.
        steps: The windows after that, in order.
        demoted: Id of the current pending episode where a revision took it back from firing.
        replaces: What each episode that may still change stands in for.
        settled_alert: The last settled window's end and the alert that it belongs to.
    """

    settled: Fold = field(default_factory=Fold)
    settled_until: int = _NEVER
    newest: int = _NEVER
    steps: tuple[_Step, ...] = ()
    demoted: str | None = None
    replaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settled_alert: tuple[int, str | None] = (_NEVER, None)

    @property
    def current(self) -> Episode | None:
        """The pending or firing episode, or None."""
        episode = self.after(len(self.steps)).episode
        return episode and self._dressed(episode)

    def alert_of(self, window_end: int) -> str | None:
        """Return the id of the alert that a window belongs to: the last settled one or any after it."""
        at = bisect_left(self.steps, (window_end, False), key=lambda s: s.place)
        if at < len(self.steps) and self.steps[at].place == (window_end, False):
            episode = self.steps[at].fold.touched
            return episode.id if episode else None
        return self.settled_alert[1] if self.settled_alert[0] == window_end else None

    def to_json(self) -> dict[str, Any]:
        """Return the compact stored form; folds after the settled one are computed again when it is read."""
        episode = self.settled.episode
        return {
            "format": _FORMAT, "until": self.settled_until, "newest": self.newest,
            "alert": list(self.settled_alert), "episode": episode and episode.to_json(), "satisfied": self.settled.satisfied,
            "demoted": self.demoted, "replaces": {id_: list(ids) for id_, ids in sorted(self.replaces.items())},
            "steps": [[s.open_after, s.close_after, *s.point.to_json()] for s in self.steps],
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any], key: AlertKey) -> Self:
        """Rebuild the track of `key`. Raises InvalidStateError on a format that this code does not know."""
        if value["format"] != _FORMAT:
            raise InvalidStateError(f"alert track of format {value['format']}", hint="run the release that wrote it")
        episode = value["episode"] and Episode.from_json(value["episode"])
        settled = Fold(episode, value["satisfied"])
        steps = [_Step(Point.from_json(rest), opens, closes) for opens, closes, *rest in value["steps"]]
        end, alert = value["alert"]
        return cls(
            settled, value["until"], value["newest"], tuple(_folded(settled, steps, key)), value["demoted"],
            {id_: tuple(ids) for id_, ids in value["replaces"].items()}, (end, alert),
        )  # fmt: skip

    def after(self, count: int) -> Fold:
        """Return the fold after the first `count` of the steps."""
        return self.steps[count - 1].fold if count else self.settled

    def _dressed(self, episode: Episode) -> Episode:
        return replace(episode, replaces=self.replaces.get(episode.id, ()))

    def episodes(self, first: int) -> dict[str, Episode]:
        """Return what the windows from the `first` step on closed or left open, by id, oldest first."""
        closed = [s.fold.closed for s in self.steps[first:]]
        found = (*closed, self.after(len(self.steps)).episode)
        return {episode.id: self._dressed(episode) for episode in found if episode is not None}


def refold(
    track: Track, key: AlertKey, points: Sequence[Point], *, open_after: int, close_after: int, settled_until: int
) -> tuple[Track, tuple[Transition, ...]]:
    """Fold new and revised windows in; return the next memory and what changed, retractions first, then oldest first.

    Args:
        track: The memory so far; `Track()` at first.
        key: The alert's identity.
        points: Windows, new or judged again, in any order; of two with one end the later in the sequence counts.
        open_after: Violated windows after which it opens; holds for `points`, older windows keep theirs.
        close_after: Satisfied windows after which it closes; likewise.
        settled_until: Windows that end here or earlier are final from now on; never lowered.

    Raises InvalidStateError when a window is given that was settled before.
    """
    fresh = {p.window_end: _Step(p, open_after, close_after) for p in points}
    if fresh and min(fresh) <= track.settled_until:
        raise InvalidStateError(
            f"the window that ends at {min(fresh)} is settled and was judged again",
            hint="judge no window after its final revision",
        )
    if len(fresh) == 1 and track.steps and (quiet := _quiet(track, points[-1], open_after, close_after)) is not None:
        return _settle(quiet, settled_until), ()
    news = [one for one in sorted(fresh.values(), key=lambda s: s.place) if not _is_known(track, one)]
    return _revised(track, key, news, settled_until)


def _quiet(track: Track, point: Point, open_after: int, close_after: int) -> Track | None:
    """Append a newest window that is not violated where nothing is open: most windows of most rules. None in any other case."""
    last = track.steps[-1]
    if point.signal not in {Signal.SATISFIED, Signal.NEITHER} or last.fold.episode is not None:
        return None
    if point.window_end <= max(track.newest, last.point.window_end):
        return None
    steps = (*track.steps, _Step(point, open_after, close_after))
    return replace(track, steps=steps, newest=point.window_end, demoted=None)


def _is_known(track: Track, one: _Step) -> bool:
    """Return whether a window was folded exactly so before: most final revisions say nothing new."""
    at = bisect_left(track.steps, one.place, key=lambda s: s.place)
    if at == len(track.steps):
        return False
    old = track.steps[at]
    return (old.point, old.open_after, old.close_after) == (one.point, one.open_after, one.close_after)


def close_stale(track: Track, key: AlertKey, at: int) -> tuple[Track, tuple[Transition, ...]]:
    """Close what is open because nothing judges it any longer; a later revision of an older window cannot open it again."""
    if track.steps[-1:] and track.steps[-1].point.signal is Signal.STALE:
        return track, ()
    if not track.steps and track.current is None:
        return track, ()
    end = max(at, track.newest)
    return _revised(track, key, [_Step(Point(end, end, Signal.STALE), 1, 1)], track.settled_until)


def signal_of(verdict: Verdict) -> Signal:
    """Return what a verdict says to the alert about its threshold."""
    return {Verdict.VIOLATED: Signal.VIOLATED, Verdict.SATISFIED: Signal.SATISFIED}.get(verdict, Signal.NEITHER)


def unknown_signal(verdict: Verdict, reason: Reason, final: bool) -> Signal:
    """Return what a verdict says to the alert that counts windows which could not be judged.

    Changed parameters are the owner's doing and count neither way; labels that are still coming are no gap until the
    window's final revision.
    """
    if verdict is not Verdict.UNKNOWN:
        return Signal.SATISFIED
    if reason is Reason.PARAMETERS_CHANGED or (reason is Reason.IMMATURE_LABELS and not final):
        return Signal.NEITHER
    return Signal.VIOLATED


def _revised(track: Track, key: AlertKey, fresh: list[_Step], settled_until: int) -> tuple[Track, tuple[Transition, ...]]:
    """Lay `fresh` (in order) over the track's steps, fold from the first of them on, compare, settle."""
    if not fresh:
        return _settle(track, settled_until), ()
    first = bisect_left(track.steps, fresh[0].place, key=lambda s: s.place)
    steps = {s.place: s for s in (*track.steps[first:], *fresh)}
    tail = _folded(track.after(first), [steps[place] for place in sorted(steps)], key, changed_until=fresh[-1].place)
    bare = replace(track, steps=(*track.steps[:first], *tail), newest=max(track.newest, fresh[-1].point.window_end))
    old, new = track.episodes(first), bare.episodes(first)
    if not old and not new and track.demoted is None:  # Most windows of most rules are quiet: there is nothing to compare.
        return _settle(bare, settled_until), ()
    dressed = _replacing(bare, track.demoted, old, new)
    new = dressed.episodes(first)
    moves = tuple(_transitions(old, new, track))
    return _settle(replace(dressed, demoted=_demoted(track.demoted, old, new)), settled_until), moves


def _folded(fold: Fold, steps: Sequence[_Step], key: AlertKey, *, changed_until: tuple[int, bool] = _EVER) -> Iterator[_Step]:
    """Fold `steps`; once past `changed_until`, a fold that comes out as before leaves all after it as they are."""
    for at, one in enumerate(steps):
        fold = step(fold, one.point, key, open_after=one.open_after, close_after=one.close_after)
        if one.place > changed_until and fold == one.fold:
            yield from steps[at:]
            return
        yield replace(one, fold=fold)


def _settle(track: Track, settled_until: int) -> Track:
    """Drop the windows that can no longer change, and what is remembered of episodes that cannot."""
    until = max(track.settled_until, settled_until)
    if until == track.settled_until:
        return track
    count = bisect_left(track.steps, (until, True), key=lambda s: s.place)
    count += count < len(track.steps) and track.steps[count].place == (until, True)
    if count:
        last = track.steps[count - 1]
        touched = last.fold.touched
        alert = (last.point.window_end, touched.id if touched else None)
        track = replace(track, settled=replace(last.fold, closed=None), steps=track.steps[count:], settled_alert=alert)
    if track.replaces:  # Rarely: only then is the whole tail looked at.
        alive = track.episodes(0)
        track = replace(track, replaces={id_: ids for id_, ids in track.replaces.items() if id_ in alive})
    return replace(track, settled_until=until)


def _replacing(track: Track, demoted: str | None, old: Mapping[str, Episode], new: Mapping[str, Episode]) -> Track:
    """Remember which old episodes each new one stands in for; one that nobody was told of hands on its own."""
    gone = [e for id_, e in old.items() if id_ not in new]
    more: dict[str, tuple[str, ...]] = {}
    for id_, episode in new.items():
        if id_ not in old:
            over = [g for g in gone if _overlap(g, episode)]
            ids = [(g.id,) if _was_told(g, demoted) else g.replaces for g in over]
            more[id_] = tuple(dict.fromkeys(one for some in ids for one in some))
    return replace(track, replaces={**track.replaces, **{id_: ids for id_, ids in more.items() if ids}})


def _overlap(a: Episode, b: Episode) -> bool:
    open_end = 1 << 62
    a_end, b_end = (open_end if e.ended_at is None else e.ended_at for e in (a, b))
    return a.first_window[1] <= b_end and b.first_window[1] <= a_end


def _was_told(episode: Episode, demoted: str | None) -> bool:
    return episode.state is not AlertState.PENDING or episode.id == demoted


def _demoted(before: str | None, old: Mapping[str, Episode], new: Mapping[str, Episode]) -> str | None:
    for id_, episode in new.items():
        if episode.state is AlertState.PENDING and id_ in old and _was_told(old[id_], before):
            return id_
    return None


def _transitions(old: Mapping[str, Episode], new: Mapping[str, Episode], before: Track) -> Iterator[Transition]:
    for id_, episode in old.items():
        if id_ not in new:
            told = _was_told(episode, before.demoted)
            last = replace(episode, state=AlertState.RETRACTED) if told else episode
            yield Transition(Kind.RETRACTED if told else Kind.VANISHED, last)
    for id_, episode in new.items():
        if episode.state is AlertState.PENDING:
            yield from _while_pending(old.get(id_), episode)
        else:
            yield from _once_opened(old.get(id_), episode, before.newest)


def _while_pending(old: Episode | None, new: Episode) -> Iterator[Transition]:
    if old is None:
        yield Transition(Kind.PENDING, new)
    elif old.state is not AlertState.PENDING:
        yield Transition(Kind.AMENDED, new)
    elif old != new:
        yield Transition(Kind.EXTENDED, new)


def _once_opened(old: Episode | None, new: Episode, newest: int) -> Iterator[Transition]:
    started, ended = new.started_at or 0, new.ended_at
    was_open = old is not None and old.state is not AlertState.PENDING
    if not was_open:
        opened = replace(new, state=AlertState.FIRING, ended_at=None, stale=False)
        yield Transition(Kind.RAISED_LATE if started < newest else Kind.FIRING, opened)
    if ended is not None and not (old is not None and old.state is AlertState.RESOLVED):
        yield Transition(Kind.RESOLVED, new)
    elif old is not None and was_open and old != new:
        longer = new.last_window[1] > old.last_window[1] and replace(old, last_window=new.last_window) == new
        yield Transition(Kind.EXTENDED if longer else Kind.AMENDED, new)
