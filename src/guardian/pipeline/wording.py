"""What an alert says to people: one sentence with its numbers, rounded for reading; records keep the exact ones.

Takes an episode and what it is about. Gives text. Never: decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardian.metrics.registry import REGISTRY
from guardian.policies.template import render
from guardian.units import format_time

if TYPE_CHECKING:
    from guardian.decisions.episodes import AlertKey, Episode
    from guardian.metrics.base import Subject
    from guardian.policies.model import Rule

SMALLEST_SHOWN: Final = 0.001  # Intervals of no drift can be [0, 0]; smaller values would only look precise.
COUNTED: Final = frozenset({"predictions", "panes"})  # Units whose values are whole numbers.
_CHANGES: Final = {"drop": "drop from the reference", "rise": "rise from the reference", "ratio": "ratio to the reference"}


def number(value: float, unit: str = "1") -> str:
    """Write a number as people read it: three significant digits, counts whole.

    >>> number(1.7234), number(1142.0), number(0.00004), number(0.02), number(0.0, "predictions")
    ('1.72', '1,142', '<0.001', '0.02', '0')
    """
    if unit in COUNTED or abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 <= value < SMALLEST_SHOWN:
        return "<0.001"
    if -SMALLEST_SHOWN < value < 0:
        return ">-0.001"
    return f"{value:.3g}"


def summary(key: AlertKey, episode: Episode, rule: Rule) -> str:
    """Say in one sentence what happened, e.g. `age has drifted: population stability index 1.72 [1.53, 1.93] against ..`."""
    windows = f"in {episode.windows} window{'s' if episode.windows > 1 else ''}"
    if key.condition == "unknown":
        return f"{_what(key.subject, rule)} could not be judged: {episode.reason}, {windows}"
    if REGISTRY[rule.metric].family == "drift" and rule.change is None:
        return f"{_who(key.subject)} has drifted: {REGISTRY[rule.metric].title} {_figures(episode, rule)}, {windows}"
    bad_above = dict(rule.rungs)[key.severity].bad_above
    moved = "rose above the limit" if bad_above else "fell below the limit"
    return f"{_what(key.subject, rule)} {moved}: {_figures(episode, rule)}, {windows}"


def rendered_annotations(key: AlertKey, episode: Episode, rule: Rule) -> dict[str, str]:
    """Return the rule's annotations with the alert's values filled in, and the built-in summary where the rule has none."""
    filled = {name: render(text, values(key, episode, rule)) for name, text in rule.annotations.items()}
    return filled if "summary" in filled else {**filled, "summary": summary(key, episode, rule)}


def values(key: AlertKey, episode: Episode, rule: Rule) -> dict[str, Any]:
    """Return what templates may name; numbers are rounded for reading, and what does not apply is None."""
    subject = key.subject
    return {
        "model": key.model,
        "version": key.version,
        "policy": key.policy,
        "rule": key.rule,
        "severity": key.severity,
        "metric": rule.metric,
        "value": _rounded(episode.value),
        "threshold": episode.threshold,
        "low": _rounded(episode.low),
        "high": _rounded(episode.high),
        "n": episode.n,
        "by": subject.by,
        "column": subject.column,
        "output": subject.output,
        "window_start": format_time(episode.last_window[0]),
        "window_end": format_time(episode.last_window[1]),
        "labels": rule.labels,
    }


def _figures(episode: Episode, rule: Rule) -> str:
    known = episode.low is not None and episode.high is not None
    interval = f" [{_shown(episode.low, rule)}, {_shown(episode.high, rule)}]" if known else ""
    return f"{_shown(episode.value, rule)}{interval} against a limit of {_limit(episode)} (n = {episode.n:,})"


def _limit(episode: Episode) -> str:
    return "" if episode.threshold is None else f"{episode.threshold:g}"


def _shown(value: float | None, rule: Rule) -> str:
    return "" if value is None else number(value, REGISTRY[rule.metric].unit if rule.change is None else "1")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _who(subject: Subject) -> str:
    if subject.output is not None:
        return f"the {subject.output}"
    return subject.column or "the model"


def _what(subject: Subject, rule: Rule) -> str:
    """Name the measured thing, e.g. `Accuracy (drop from the reference)`, `Missing values of income`."""
    title = REGISTRY[rule.metric].title
    parts = [title[0].upper() + title[1:]]  # It begins the sentence.
    if subject.column or subject.output:
        parts.append(f"of {_who(subject)}")
    if subject.of_class is not None:
        parts.append(f"of class {subject.of_class}")
    if subject.by is not None:
        parts.append(f"by {subject.by}")
    if rule.change is not None:
        parts.append(f"({_CHANGES[rule.change]})")
    return " ".join(parts)
