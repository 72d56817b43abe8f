"""What of a policy's document can be read, sound or not: each part by itself, so that no mistake hides another.

Gives parts and where they stand. Never: says what is wrong with them; files.validate and policies.checks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from guardian.policies.model import Change, Condition, Defaults, parse_condition
from guardian.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardian.files.document import Document, Path
    from guardian.policies.model import Severity

SEVERITIES: Final[tuple[Severity, ...]] = ("warn", "error")
SPANS: Final = ("window", "every", "restate_every")
_RULES: Final[Path] = ("spec", "rules")


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """One rule as it is written; what is left out or has the wrong shape is None, or is not among its parts.

    Attributes:
        at: Where the rule stands.
        whole: Whether what is not here was left out, rather than refused.
        written: The keys that have a value, of whatever shape.
        alert: Its name.
        metric: The name of its metric.
        columns: Names of columns by their place below the rule, those left out (`except`) as well.
        by: The columns of its segment.
        change: What of the metric is judged.
        parameters: Names of parameters.
        rungs: Conditions by severity.
        spans: Milliseconds by the keys of SPANS.
        labels: Labels; None where their names cannot be told.
        annotations: Templates by name.
    """

    at: Path
    whole: bool
    written: frozenset[str]
    alert: str | None
    metric: str | None
    columns: Mapping[Path, str]
    by: tuple[str, ...] | None
    change: str | None
    parameters: tuple[str, ...]
    rungs: Mapping[Severity, Condition]
    spans: Mapping[str, int]
    labels: Mapping[str, str] | None
    annotations: Mapping[str, str]

    def lacks(self, *keys: str) -> bool:
        """Return whether none of `keys` was ever written."""
        return self.whole and not self.written.intersection(keys)


@dataclass(frozen=True, slots=True)
class Draft:
    """One policy as it is written.

    Attributes:
        document: Where it stands.
        models: Names of models by their place in `spec.match.models`.
        versions: Names of versions by their place in `spec.match.versions`.
        spans: Milliseconds of the window and of the distance between windows, where a rule says nothing.
        rules: Those that are mappings.
    """

    document: Document
    models: Mapping[int, str]
    versions: Mapping[int, str]
    spans: Mapping[str, int]
    rules: tuple[RuleDraft, ...]


def draft_of(document: Document) -> Draft:
    """Return what of a policy's document can be read."""
    usual = Defaults()
    written = _mapping(document.get(("spec", "defaults")))
    spans = {"window": usual.window, "every": usual.every}
    spans = {name: span for name, span in spans.items() if written.get(name) is None} | _spans(written)
    rules = document.get(_RULES)
    return Draft(
        document=document,
        models=_texts(document.get(("spec", "match", "models"))),
        versions=_texts(document.get(("spec", "match", "versions"))),
        spans=spans,
        rules=tuple(
            _rule(each, (*_RULES, i), whole=document.whole)
            for i, each in enumerate(rules if isinstance(rules, list) else ())
            if isinstance(each, dict)
        ),
    )


def _rule(value: dict[str, Any], at: Path, *, whole: bool) -> RuleDraft:
    labels, change = value.get("labels"), value.get("change")
    return RuleDraft(
        at=at,
        whole=whole,
        written=frozenset(key for key, part in value.items() if part is not None),
        alert=_text(value.get("alert")),
        metric=_text(value.get("metric")),
        columns=dict(_columns(value.get("columns"))),
        by=_by(value.get("by")),
        change=change if change in get_args(Change) else None,
        parameters=tuple(_mapping(value.get("parameters"))),
        rungs={severity: found for severity in SEVERITIES if (found := _condition(value.get(severity))) is not None},
        spans=_spans(value),
        labels=None if not isinstance(labels, dict | None) else {name: str(text) for name, text in (labels or {}).items()},
        annotations={key: text for key, text in _mapping(value.get("annotations")).items() if isinstance(text, str)},
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> dict[int, str]:
    return {i: each for i, each in enumerate(value if isinstance(value, list) else ()) if isinstance(each, str)}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _columns(value: object) -> Iterator[tuple[Path, str]]:
    below: Path = ("columns",)
    if isinstance(value, dict):
        below, value = ("columns", "except"), value.get("except")
    for i, name in _texts(value).items():
        yield (*below, i), name


def _by(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    names = tuple(_texts(value).values())
    return names if isinstance(value, list) and len(names) == len(value) else None


def _condition(value: object) -> Condition | None:
    try:
        found = parse_condition(value)
    except ValueError:
        return None
    return found if isinstance(found, Condition) else None


def _spans(value: Mapping[str, Any]) -> dict[str, int]:
    found = {name: _duration(value.get(name)) for name in SPANS}
    return {name: span for name, span in found.items() if span is not None}


def _duration(value: object) -> int | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
