"""One step of the alert fold: an episode opens after enough `violated` windows and closes after enough `satisfied` ones.

Takes a fold and the next window. Gives the next fold. Never: looks back, knows revisions, compares with an earlier history;
`decisions.alerts` does that. Windows that are neither violated nor satisfied change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self

from guardian.canonical import short_id
from guardian.decisions.verdict import about_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardian.metrics.base import Subject
    from guardian.policies.model import Severity

Window = tuple[int, int]
"""Start and end of a window [start, end), UTC milliseconds."""


class Signal(IntEnum):
    """What one window says to an alert. Public as a number in stored tracks."""

    SATISFIED = -1
    NEITHER = 0
    VIOLATED = 1
    STALE = 2  # No window: the version retired or the rule was removed, so that whatever is open closes.


class AlertState(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class AlertKey:
    """What an alert is about: a verdict's identity without its window.

    Attributes:
        model: The model.
        version: Its version.
        policy: The policy.
        rule: The rule's name.
        severity: `warn` or `error`.
        subject: What of the model.
        condition: `threshold` for windows beyond the limit, `unknown` for windows that could not be judged.
    """

    model: str
    version: str
    policy: str
    rule: str
    severity: Severity
    subject: Subject
    condition: Literal["threshold", "unknown"] = "threshold"

    def episode_id(self, first_window_end: int) -> str:
        """Return the id of the alert whose first violated window ends at `first_window_end`."""
        about = about_subject(self.subject)
        parts = (self.model, self.version, self.policy, self.rule, self.severity, about, self.condition)
        return short_id("alert", *parts, str(first_window_end))


@dataclass(frozen=True, slots=True)
class Point:
    """The latest revision of one window, as an alert sees it.

    Attributes:
        window_start: Start of the window, UTC milliseconds.
        window_end: End of the window, exclusive; tells the windows of one alert apart.
        signal: What it says.
        value: The estimate, or None.
        low: Lower end of the interval, or None.
        high: Upper end of the interval, or None.
        n: Live observations.
        threshold: The limit that it was judged by, or None.
        reason: The verdict's public reason code.
    """

    window_start: int
    window_end: int
    signal: Signal
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    threshold: float | None = None
    reason: str = ""

    def to_json(self) -> list[Any]:
        """Return the compact stored form, in the order of the fields."""
        values = (self.value, self.low, self.high, self.n, self.threshold, self.reason)
        return [self.window_start, self.window_end, int(self.signal), *values]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Self:
        """Rebuild a point from `to_json`'s value."""
        start, end, signal, *rest = value
        return cls(start, end, Signal(signal), *rest)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert: a run of violated windows, from the first of them until it closed.

    Attributes:
        id: Digest of the alert's identity and of the end of `first_window`.
        state: Where it stands.
        first_window: The first violated window of the run.
        last_window: The last violated window in it.
        windows: Violated windows up to the one at which it opened; of a pending one, so far.
        value: The estimate in the window at which it opened; of a pending one, in its last window.
        low: Lower end of that interval, or None.
        high: Upper end of that interval, or None.
        n: Live observations of that window.
        threshold: The limit that window was judged by, or None.
        reason: The public reason code of that window.
        started_at: End of the window at which it opened; None while pending.
        ended_at: End of the window at which it closed, or the instant at which it went stale; None while open.
        stale: Whether it closed because nothing judges it any longer.
        replaces: Ids of the retracted alerts that it stands in for.
    """

    id: str
    state: AlertState
    first_window: Window
    last_window: Window
    windows: int
    value: float | None
    low: float | None
    high: float | None
    n: int
    threshold: float | None
    reason: str
    started_at: int | None = None
    ended_at: int | None = None
    stale: bool = False
    replaces: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return every field as a JSON value."""
        return {
            "id": self.id,
            "state": self.state.value,
            "first_window": list(self.first_window),
            "last_window": list(self.last_window),
            "windows": self.windows,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "threshold": self.threshold,
            "reason": self.reason,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "stale": self.stale,
            "replaces": list(self.replaces),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Rebuild an episode from `to_json`'s value."""
        changed = {
            "state": AlertState(value["state"]),
            "first_window": tuple(value["first_window"]),
            "last_window": tuple(value["last_window"]),
            "replaces": tuple(value["replaces"]),
        }
        return cls(**(value | changed))


@dataclass(frozen=True, slots=True)
class Fold:
    """What the fold remembers after a window.

    Attributes:
        episode: The pending or firing one, or None.
        satisfied: Satisfied windows of the firing one since its last violated window.
        closed: The one that this very window closed, or None.
    """

    episode: Episode | None = None
    satisfied: int = 0
    closed: Episode | None = None

    @property
    def touched(self) -> Episode | None:
        """The episode that the window belongs to."""
        return self.episode or self.closed


def step(fold: Fold, point: Point, key: AlertKey, *, open_after: int, close_after: int) -> Fold:
    """Return the fold after one more window, which must be newer than all before."""
    match point.signal:
        case Signal.VIOLATED:
            return Fold(_worse(fold.episode, point, key, open_after))
        case Signal.SATISFIED:
            return _better(fold, point, close_after)
        case Signal.STALE:
            return Fold(closed=_closed(fold.episode, point, stale=True))
        case Signal.NEITHER:
            return replace(fold, closed=None)


def _worse(episode: Episode | None, point: Point, key: AlertKey, open_after: int) -> Episode:
    window = (point.window_start, point.window_end)
    if episode is not None and episode.state is AlertState.FIRING:
        return replace(episode, last_window=window)
    first, before = (window, 0) if episode is None else (episode.first_window, episode.windows)
    opens = before + 1 >= open_after
    return Episode(
        id=key.episode_id(first[1]), state=AlertState.FIRING if opens else AlertState.PENDING,
        first_window=first, last_window=window, windows=before + 1,
        value=point.value, low=point.low, high=point.high, n=point.n, threshold=point.threshold, reason=point.reason,
        started_at=point.window_end if opens else None,
    )  # fmt: skip


def _better(fold: Fold, point: Point, close_after: int) -> Fold:
    episode = fold.episode
    if episode is None or episode.state is AlertState.PENDING:
        return Fold()
    if fold.satisfied + 1 >= close_after:
        return Fold(closed=_closed(episode, point, stale=False))
    return Fold(episode, fold.satisfied + 1)


def _closed(episode: Episode | None, point: Point, *, stale: bool) -> Episode | None:
    if episode is None or episode.state is AlertState.PENDING:
        return None
    return replace(episode, state=AlertState.RESOLVED, ended_at=point.window_end, stale=stale)
