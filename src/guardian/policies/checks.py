"""Rules against the metric registry and the model files that they match: every mistake, where it stands.

A rule is checked whole or not at all, so that a mistake elsewhere in its file hides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.catalog.load import VERSION, VERSION_HINT
from guardian.catalog.model_file import EVERY_VERSION, PANES_AHEAD_MAX
from guardian.files.document import choice_hint, shown
from guardian.metrics.registry import REGISTRY
from guardian.policies.model import Except
from guardian.policies.template import template_problem
from guardian.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardian.catalog.model_file import ModelFile
    from guardian.errors import Mistake
    from guardian.files.document import Document, Path
    from guardian.metrics.metric import Metric
    from guardian.policies.model import Defaults, Match, Rule

OUTPUTS: Final = ("prediction", "score")


@dataclass(frozen=True, slots=True)
class Draft:
    """What of a policy's document could be read: all of a valid one, and the sound rules of another.

    Attributes:
        rules: Rules by their place in the file.
    """

    document: Document
    match: Match
    defaults: Defaults
    rules: Mapping[int, Rule]


def check_draft(draft: Draft, models: Mapping[str, ModelFile], broken: frozenset[str]) -> Iterator[Mistake]:
    """Yield every mistake and warning of a policy; `broken` are names of models whose own files have mistakes."""
    matched = [models[name] for name in draft.match.models if name in models]
    yield from _match_mistakes(draft, models, broken)
    for i, rule in draft.rules.items():
        check = _Check(draft, ("spec", "rules", i), rule)
        yield from check.alone()
        metric = REGISTRY.get(rule.metric)
        for model in matched:
            yield from check.panes(model)
            if metric is not None:
                yield from check.against(metric, model)


def _match_mistakes(draft: Draft, models: Mapping[str, ModelFile], broken: frozenset[str]) -> Iterator[Mistake]:
    document, match = draft.document, draft.match
    for i, name in enumerate(match.models):
        if name not in models and name not in broken:
            path: Path = ("spec", "match", "models", i)
            what = f"no model file describes {shown(name)}, so nothing is judged there"
            yield document.mistake(
                "policy.unknown-model", path, what, choice_hint(name, models, "check its file along with this one"), warning=True
            )
    if isinstance(match.versions, str):
        return
    unversioned = [name for name in match.models if name in models and models[name].spec.champion is None]
    for i, version in enumerate(match.versions):
        path = ("spec", "match", "versions", i)
        if version != EVERY_VERSION and not VERSION.fullmatch(version):
            what = f"{shown(version)} is no name of a version"
            yield document.mistake("policy.version-name", path, what, VERSION_HINT)
        elif version != EVERY_VERSION and unversioned:
            what = f"{unversioned[0]} names no champion, so all its events count under version {EVERY_VERSION}"
            yield document.mistake("policy.version-name", path, what, "write versions: all, or name a champion")


@dataclass(frozen=True, slots=True)
class _Check:
    """One rule's checks; `at` is its path."""

    draft: Draft
    at: Path
    rule: Rule

    def mistake(self, code: str, below: Path, what: str, hint: str) -> Mistake:
        return self.draft.document.mistake(f"policy.{code}", (*self.at, *below), what, hint)

    def alone(self) -> Iterator[Mistake]:
        """Yield what is wrong whichever model it is about."""
        metric = REGISTRY.get(self.rule.metric)
        if metric is None:
            what = f"there is no metric {shown(self.rule.metric)}"
            family = self.rule.metric.partition(".")[0]
            names = [name for name, each in REGISTRY.items() if each.family == family] or list(REGISTRY)
            yield self.mistake("unknown-metric", ("metric",), what, choice_hint(self.rule.metric, names))
        else:
            yield from self.applies(metric)
            yield from self.thresholds(metric)
        for key, text in self.rule.annotations.items():
            problem = template_problem(text, self.rule.labels)
            if problem is not None:
                yield self.mistake("template", ("annotations", key), problem[0], problem[1])

    def applies(self, metric: Metric) -> Iterator[Mistake]:
        """Yield what the metric does not take."""
        rule = self.rule
        if rule.columns is not None and metric.of != "columns":
            yield self.mistake("not-of-columns", ("columns",), f"{metric.name} is not about columns", "remove columns")
        if rule.by is not None and metric.of != "groups":
            yield self.mistake("not-of-groups", ("by",), f"{metric.name} does not compare groups", "remove by")
        if rule.by is None and metric.of == "groups":
            hint = "add by: with a segment that the model declares"
            yield self.mistake("needs-by", ("metric",), f"{metric.name} compares groups and needs by", hint)
        if rule.classes is not None and not metric.per_class:
            what = f"{metric.name} is not measured class by class"
            yield self.mistake("not-per-class", ("classes",), what, "remove classes")
        if rule.change is not None and metric.family != "performance":
            what = f"the change of {metric.name} cannot be judged"
            yield self.mistake("no-change", ("change",), what, "change is for performance metrics; judge the value itself")
        for name in rule.parameters:
            if name not in metric.parameters:
                what = f"{metric.name} has no parameter {shown(name)}"
                yield self.mistake(
                    "unknown-parameter",
                    ("parameters", name),
                    what,
                    choice_hint(name, metric.parameters, "it has none; remove it"),
                )

    def thresholds(self, metric: Metric) -> Iterator[Mistake]:
        """Yield thresholds where no value can be."""
        low, high = value_range(metric, self.rule.change)
        subject = metric.name if self.rule.change is None else f"the {self.rule.change} of {metric.name}"
        for severity, condition in self.rule.rungs:
            if not low <= condition.threshold <= high:
                what = f"{subject} is never {condition.threshold:g}"
                yield self.mistake("threshold-out-of-range", (severity,), what, f"it lies in [{low:g}, {high:g}]")

    def panes(self, model: ModelFile) -> Iterator[Mistake]:
        """Yield spans that are no whole number of panes."""
        pane, defaults = model.spec.pane, self.draft.defaults
        for name, span in (("window", defaults.window), ("every", defaults.every), ("restate_every", None)):
            own = getattr(self.rule, name)
            used = span if own is None else own
            path: Path = ("spec", "defaults", name) if own is None else (*self.at, name)
            if used is None:
                continue
            if used <= 0 or used % pane:
                what = f"{format_duration(used)} is no whole number of panes of {model.name}"
                hint = f"a multiple of {format_duration(pane)}, and at least one"
                yield self.draft.document.mistake("policy.not-in-panes", path, what, hint)
            elif name == "window" and used > PANES_AHEAD_MAX * pane:
                what = f"{format_duration(used)} is more than {PANES_AHEAD_MAX:,} panes of {model.name}"
                hint = f"at most {format_duration(PANES_AHEAD_MAX * pane)}"
                yield self.draft.document.mistake("policy.window-too-long", path, what, hint)

    def against(self, metric: Metric, model: ModelFile) -> Iterator[Mistake]:
        """Yield what does not fit the model."""
        task = model.spec.task
        if task not in metric.tasks:
            fitting = [name for name, each in REGISTRY.items() if each.family == metric.family and task in each.tasks]
            what = f"{metric.name} is not defined for {model.name}, a {task} model"
            none = f"no {metric.family} metric is defined for it; remove the rule, or the model from match"
            yield self.mistake("wrong-task", ("metric",), what, choice_hint(None, fitting, none))
        if self.rule.classes is not None and task != "multiclass_classification" and metric.per_class:
            what = f"{model.name} is no multiclass model"
            yield self.mistake("not-per-class", ("classes",), what, "remove classes")
        if metric.of == "columns":
            yield from self.columns(model)
        if metric.of == "groups" and self.rule.by is not None:
            yield from self.segment(model)

    def columns(self, model: ModelFile) -> Iterator[Mistake]:
        known = (*model.spec.column_names, *outputs_of(model))
        below, names = _named_columns(self.rule)
        for i, name in enumerate(names):
            if name not in known:
                what = f"{model.name} has no column {shown(name)}"
                yield self.mistake("unknown-column", (*below, i), what, choice_hint(name, known))

    def segment(self, model: ModelFile) -> Iterator[Mistake]:
        if self.rule.segment in model.spec.segments:
            return
        wanted = self.rule.segment
        same = [each for each in model.spec.segments if sorted(each) == sorted(wanted)]
        declared = ["[" + ", ".join(each) + "]" for each in model.spec.segments]
        if same:
            hint = f"name its columns in the model's order: [{', '.join(same[0])}]"
        elif wanted and all(name in model.spec.protected for name in wanted):
            hint = f"add [{', '.join(wanted)}] to segments in the model file"
        else:
            hint = choice_hint("[" + ", ".join(wanted) + "]", declared, "add protected and segments to the model file")
        what = f"{model.name} declares no segment [{', '.join(shown(name)[1:-1] for name in wanted)}]"
        yield self.mistake("unknown-segment", ("by",), what, hint)


def value_range(metric: Metric, change: str | None) -> tuple[float, float]:
    """Return the least and the greatest value that a rule on `metric` can see; infinite where there is none."""
    if change is None:
        return metric.low, metric.high
    if change == "ratio":
        return 0.0, math.inf
    width = metric.high - metric.low
    return -width, width


def outputs_of(model: ModelFile) -> tuple[str, ...]:
    """Return the outputs that are counted beside the columns: the prediction, and the score where the model gives one."""
    return OUTPUTS if model.spec.columns.score is not None else OUTPUTS[:1]


def _named_columns(rule: Rule) -> tuple[Path, Sequence[str]]:
    if isinstance(rule.columns, Except):
        return ("columns", "except"), rule.columns.names
    return ("columns",), rule.columns if isinstance(rule.columns, tuple) else ()
