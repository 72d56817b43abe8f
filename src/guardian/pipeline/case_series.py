"""Which rules a series of a case feeds, and about what: `psi(income)`, `selection_ratio(by=RAC1P)`, `accuracy`, `AccuracyDrop`.

A series is named by a metric (whole, or its last word) or by a rule. A metric's name feeds every rule of that metric, as long
as they measure the same thing; a rule's name feeds that rule alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.files.document import choice_hint, shown
from guardian.metrics.base import Subject
from guardian.metrics.registry import REGISTRY
from guardian.policies.checks import OUTPUTS
from guardian.policies.load import subjects_of
from guardian.policies.model import Except

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.catalog.model_file import ModelFile
    from guardian.errors import Mistake
    from guardian.pipeline.case_file import Case, Cases, Wanted
    from guardian.policies.model import PolicyFile, Rule

_KEY: Final = re.compile(
    r"(?P<name>[A-Za-z][\w.-]*)\s*(?:\(\s*(?:(?P<kind>column|output|by|class)\s*=\s*)?(?P<of>[^()]+?)\s*\))?"
)
_FORMS: Final = "write metric(column), metric(by=SEGMENT), metric(class=LABEL), metric, or a rule's name in place of the metric's"


@dataclass(frozen=True, slots=True)
class Feed:
    """One series into one rule.

    Attributes:
        rule: The rule.
        subject: What of the model it is about.
        series: The series' key in its case.
    """

    rule: Rule
    subject: Subject
    series: str


def feeds_of(
    cases: Cases, case: Case, policy: PolicyFile, model: ModelFile | None
) -> tuple[tuple[Feed, ...], tuple[Mistake, ...]]:
    """Return what the series of a case feed, in the policy's order, and every mistake.

    Without a model file, columns and classes are taken on trust.
    """
    mistakes: list[Mistake] = []
    feeds: list[Feed] = []
    for key in case.series:
        found = _resolve(key, policy, model)
        if isinstance(found, tuple):
            feeds += found
        else:
            what, hint = found.what, found.hint
            mistakes.append(cases.document.mistake("cases.series", ("cases", case.index, "series", key), what, hint, key=True))
    order = {rule.alert: i for i, rule in enumerate(policy.spec.rules)}
    feeds.sort(key=lambda f: (order[f.rule.alert], f.subject.key))
    if not mistakes:
        mistakes += _twice(cases, case, feeds)
        mistakes += [m for i, one in enumerate(case.expect) for m in _astray(cases, case, i, one, feeds)]
    return tuple(feeds), tuple(mistakes)


def concerns(wanted: Wanted, feed: Feed, rung: str) -> bool:
    """Return whether an expectation is about this feed and rung."""
    spec, subject = wanted.spec, feed.subject
    return (
        spec.rule in (None, feed.rule.alert)
        and (spec.rung == rung or (spec.rung is None and rung != "unknown"))
        and spec.column in (None, subject.column, subject.output)
        and spec.by in (None, subject.by)
        and spec.of_class in (None, subject.of_class)
    )


def rungs_of(rule: Rule) -> tuple[str, ...]:
    """Return the names under which a rule's evaluations are expected: its severities, and `unknown` for on_unknown."""
    return (*(severity for severity, _ in rule.rungs), *(("unknown",) if rule.on_unknown else ()))


@dataclass(frozen=True, slots=True)
class _Unclear:
    what: str
    hint: str


def _resolve(key: str, policy: PolicyFile, model: ModelFile | None) -> tuple[Feed, ...] | _Unclear:
    match = _KEY.fullmatch(key.strip())
    if match is None:
        return _Unclear(f"{shown(key)} names no series", _FORMS)
    name, kind, of = match["name"], match["kind"], match["of"]
    rules = [r for r in policy.spec.rules if name in {r.alert, r.metric, r.metric.partition(".")[2]}]
    if not rules:
        known = [w for r in policy.spec.rules for w in (r.metric.partition(".")[2], r.alert)]
        return _Unclear(f"no rule of {policy.name} judges {shown(name)}", choice_hint(name, dict.fromkeys(known)))
    found = [Feed(rule, subject, key) for rule in rules for subject in _subjects(rule, kind, of, model)]
    if not found:
        named = " or ".join(dict.fromkeys(rule.alert for rule in rules))
        return _Unclear(f"{named} judges nothing called {shown(key)}", _FORMS)
    meant = {(f.rule.metric, f.rule.change, tuple(sorted(f.rule.parameters.items()))) for f in found}
    if len(meant) > 1:
        names = ", ".join(dict.fromkeys(f.rule.alert for f in found))
        return _Unclear(f"{shown(key)} means different measurements in {names}", "name the series by its rule")
    return tuple(found)


def _subjects(rule: Rule, kind: str | None, of: str | None, model: ModelFile | None) -> Iterator[Subject]:
    """Yield the one subject of `rule` that is meant, if it has it."""
    subject = _subject(rule, kind, of)
    if subject is None:
        return
    if model is None or rule.classes == "all":
        if _covered(rule, subject):
            yield subject
    elif subject in subjects_of(rule, model):
        yield subject


def _subject(rule: Rule, kind: str | None, of: str | None) -> Subject | None:
    match REGISTRY[rule.metric].of:
        case "columns":
            if of is None or kind in {"by", "class"}:
                return None
            is_output = kind == "output" or (kind is None and of in OUTPUTS)
            return Subject(output=of) if is_output else Subject(column=of)
        case "groups":
            by = ",".join(rule.segment)
            meant = of is None or (kind == "by" and ",".join(part.strip() for part in of.split(",")) == by)
            return Subject(by=by) if meant else None
        case "model" if rule.classes is not None:
            return Subject(of_class=of) if of is not None and kind in {None, "class"} else None
    return Subject() if of is None else None


def _covered(rule: Rule, subject: Subject) -> bool:
    name = subject.column or subject.output
    if isinstance(rule.columns, tuple):
        return name in rule.columns
    if isinstance(rule.columns, Except):
        return name not in rule.columns.names
    return not isinstance(rule.classes, tuple) or subject.of_class in rule.classes


def _twice(cases: Cases, case: Case, feeds: list[Feed]) -> Iterator[Mistake]:
    seen: dict[tuple[str, str], str] = {}
    for feed in feeds:
        other = seen.setdefault((feed.rule.alert, feed.subject.key), feed.series)
        if other != feed.series:
            what = f"{shown(feed.series)} and {shown(other)} are both what {feed.rule.alert} judges"
            yield cases.document.mistake("cases.series", ("cases", case.index, "series", feed.series), what, "keep one", key=True)


def _astray(cases: Cases, case: Case, index: int, wanted: Wanted, feeds: list[Feed]) -> Iterator[Mistake]:
    """Yield what is wrong with an expectation that is about nothing of its case."""
    if any(concerns(wanted, feed, rung) for feed in feeds for rung in rungs_of(feed.rule)):
        return
    spec, path = wanted.spec, ("cases", case.index, "expect", index)
    rules = dict.fromkeys(feed.rule.alert for feed in feeds)
    if spec.rule is not None and spec.rule not in rules:
        what = f"no series of the case feeds a rule {shown(spec.rule)}"
        yield cases.document.mistake("cases.unknown-rule", (*path, "rule"), what, choice_hint(spec.rule, rules))
        return
    about = sorted({f"{f.rule.alert} {rung} {f.subject.key}".rstrip() for f in feeds for rung in rungs_of(f.rule)})
    yield cases.document.mistake(
        "cases.unknown-rule", path, "the case evaluates nothing of this kind", f"it has: {'; '.join(about)}"
    )
