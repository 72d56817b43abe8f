"""Rules against the metric registry and the model files that they match: every mistake, where it stands.

Everything is checked as it is written, part by part: a mistake hides no other, in its own rule or elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.catalog.load import VERSION, VERSION_HINT
from guardian.catalog.model_file import EVERY_VERSION, PANES_AHEAD_MAX
from guardian.files.document import choice_hint, shown
from guardian.metrics.registry import REGISTRY
from guardian.policies.draft import SPANS
from guardian.policies.model import NO_RUNG, name_conflicts, rung_conflicts
from guardian.policies.template import template_problem
from guardian.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardian.catalog.model_file import ModelFile
    from guardian.errors import Mistake
    from guardian.files.document import Document, Path
    from guardian.files.validate import Conflict
    from guardian.metrics.metric import ColumnKind, Metric
    from guardian.policies.draft import Draft, RuleDraft

OUTPUTS: Final = ("prediction", "score")


def check_draft(draft: Draft, models: Mapping[str, ModelFile], broken: frozenset[str]) -> Iterator[Mistake]:
    """Yield every mistake and warning of a policy; `broken` are names of models whose own files have mistakes.

    What the types of a valid file refuse as well is yielded in the same words.
    """
    matched = [models[name] for name in dict.fromkeys(draft.models.values()) if name in models]
    yield from _match_mistakes(draft, models, broken)
    names = {rule.at[-1]: rule.alert for rule in draft.rules if rule.alert is not None}
    for conflict in name_conflicts({i: name for i, name in names.items() if isinstance(i, int)}):
        yield _conflict(draft.document, ("spec",), conflict)
    for rule in draft.rules:
        check = _Check(draft, rule, REGISTRY.get(rule.metric or ""))
        yield from check.alone()
        for model in matched:
            yield from check.panes(model)
            yield from check.against(model)


def _conflict(document: Document, at: Path, conflict: Conflict) -> Mistake:
    return document.mistake(conflict.code, (*at, *conflict.path), conflict.what, conflict.hint)


def _match_mistakes(draft: Draft, models: Mapping[str, ModelFile], broken: frozenset[str]) -> Iterator[Mistake]:
    document = draft.document
    for i, name in draft.models.items():
        if name not in models and name not in broken:
            path: Path = ("spec", "match", "models", i)
            what = f"no model file describes {shown(name)}, so nothing is judged there"
            yield document.mistake(
                "policy.unknown-model", path, what, choice_hint(name, models, "check its file along with this one"), warning=True
            )
    unversioned = [name for name in draft.models.values() if name in models and models[name].spec.champion is None]
    for i, version in draft.versions.items():
        path = ("spec", "match", "versions", i)
        if version != EVERY_VERSION and not VERSION.fullmatch(version):
            what = f"{shown(version)} is no name of a version"
            yield document.mistake("policy.version-name", path, what, VERSION_HINT)
        elif version != EVERY_VERSION and unversioned:
            what = f"{unversioned[0]} names no champion, so all its events count under version {EVERY_VERSION}"
            yield document.mistake("policy.version-name", path, what, "write versions: all, or name a champion")


@dataclass(frozen=True, slots=True)
class _Check:
    """One rule's checks; `metric` is None where there is none of the name that is written."""

    draft: Draft
    rule: RuleDraft
    metric: Metric | None

    def mistake(self, code: str, below: Path, what: str, hint: str) -> Mistake:
        return self.draft.document.mistake(f"policy.{code}", (*self.rule.at, *below), what, hint)

    def alone(self) -> Iterator[Mistake]:
        """Yield what is wrong whichever model it is about."""
        rule = self.rule
        conflicts = [NO_RUNG] if rule.lacks("warn", "error") else rung_conflicts(rule.rungs)
        for conflict in conflicts:
            yield _conflict(self.draft.document, rule.at, conflict)
        if self.metric is not None:
            yield from self.applies(self.metric)
            yield from self.thresholds(self.metric)
        elif rule.metric is not None:
            family = rule.metric.partition(".")[0]
            names = [name for name, each in REGISTRY.items() if each.family == family] or list(REGISTRY)
            what = f"there is no metric {shown(rule.metric)}"
            yield self.mistake("unknown-metric", ("metric",), what, choice_hint(rule.metric, names))
        yield from self.templates()

    def templates(self) -> Iterator[Mistake]:
        """Yield annotations that cannot be rendered."""
        for key, text in self.rule.annotations.items():
            if self.rule.labels is None and "labels" in text:
                continue  # Whether it is right depends on labels that cannot be read.
            problem = template_problem(text, self.rule.labels or {})
            if problem is not None:
                yield self.mistake("template", ("annotations", key), problem[0], problem[1])

    def applies(self, metric: Metric) -> Iterator[Mistake]:
        """Yield what the metric does not take."""
        rule = self.rule
        if "columns" in rule.written and metric.of != "columns":
            yield self.mistake("not-of-columns", ("columns",), f"{metric.name} is not about columns", "remove columns")
        if "by" in rule.written and metric.of != "groups":
            yield self.mistake("not-of-groups", ("by",), f"{metric.name} does not compare groups", "remove by")
        if rule.lacks("by") and metric.of == "groups":
            hint = "add by: with a segment that the model declares"
            yield self.mistake("needs-by", ("metric",), f"{metric.name} compares groups and needs by", hint)
        if "classes" in rule.written and not metric.per_class:
            what = f"{metric.name} is not measured class by class"
            yield self.mistake("not-per-class", ("classes",), what, "remove classes")
        if "change" in rule.written and metric.family != "performance":
            what = f"the change of {metric.name} cannot be judged"
            yield self.mistake("no-change", ("change",), what, "change is for performance metrics; judge the value itself")
        for name in rule.parameters:
            if name not in metric.parameters:
                what = f"{metric.name} has no parameter {shown(name)}"
                hint = choice_hint(name, metric.parameters, "it has none; remove it")
                yield self.mistake("unknown-parameter", ("parameters", name), what, hint)

    def thresholds(self, metric: Metric) -> Iterator[Mistake]:
        """Yield thresholds where no value can be."""
        change = self.rule.change
        if change is None and "change" in self.rule.written:
            return  # Of a change that does not exist nothing is known.
        low, high = value_range(metric, change)
        subject = metric.name if change is None else f"the {change} of {metric.name}"
        for severity, condition in self.rule.rungs.items():
            if not low <= condition.threshold <= high:
                what = f"{subject} is never {condition.threshold:g}"
                yield self.mistake("threshold-out-of-range", (severity,), what, f"it lies in [{low:g}, {high:g}]")

    def panes(self, model: ModelFile) -> Iterator[Mistake]:
        """Yield spans that are no whole number of panes."""
        pane, rule = model.spec.pane, self.rule
        for name in SPANS:
            own = name in rule.written
            used = (rule.spans if own else self.draft.spans).get(name)
            path: Path = (*rule.at, name) if own else ("spec", "defaults", name)
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

    def against(self, model: ModelFile) -> Iterator[Mistake]:
        """Yield what does not fit the model."""
        metric = self.metric
        if metric is not None:
            yield from self.task(metric, model)
        if metric is None or metric.of == "columns":
            yield from self.columns(model)
        if metric is None or metric.of == "groups":
            yield from self.segment(model)

    def task(self, metric: Metric, model: ModelFile) -> Iterator[Mistake]:
        task = model.spec.task
        if task not in metric.tasks:
            fitting = [name for name, each in REGISTRY.items() if each.family == metric.family and task in each.tasks]
            what = f"{metric.name} is not defined for {model.name}, a {task} model"
            none = f"no {metric.family} metric is defined for it; remove the rule, or the model from match"
            yield self.mistake("wrong-task", ("metric",), what, choice_hint(None, fitting, none))
        if "classes" in self.rule.written and task != "multiclass_classification" and metric.per_class:
            what = f"{model.name} is no multiclass model"
            yield self.mistake("not-per-class", ("classes",), what, "remove classes")

    def columns(self, model: ModelFile) -> Iterator[Mistake]:
        known, fitting = columns_of(model), columns_of(model, self.metric)
        for path, name in self.rule.columns.items():
            if name not in known:
                yield self.mistake("unknown-column", path, f"{model.name} has no column {shown(name)}", choice_hint(name, known))
            elif name not in fitting and self.metric is not None and "except" not in path:
                what = f"{self.metric.name} is not defined for {shown(name)} of {model.name}, which is {known[name]}"
                hint = f"{choice_hint(None, fitting)}; or columns: all" if fitting else "remove the rule, or the model from match"
                yield self.mistake("wrong-column", path, what, hint)

    def segment(self, model: ModelFile) -> Iterator[Mistake]:
        wanted = self.rule.by
        if wanted is None or wanted in model.spec.segments:
            return
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


def columns_of(model: ModelFile, metric: Metric | None = None) -> dict[str, ColumnKind]:
    """Return the kind of each column and output of `model`, only of those that `metric` is defined for where one is given.

    Features in file order, then the other protected attributes, then the prediction, and the score of a classifier that gives
    one. A feature that is named like an output is the feature.
    """
    spec = model.spec
    regression = spec.task == "regression"
    outputs: dict[str, ColumnKind] = {"prediction": "numeric" if regression else "categorical"}
    if spec.columns.score is not None and not regression:
        outputs["score"] = "numeric"
    columns: dict[str, ColumnKind] = {name: feature.type for name, feature in spec.features.items()}
    columns |= dict.fromkeys(spec.attributes, "categorical")
    every = columns | {name: kind for name, kind in outputs.items() if name not in columns}
    return {name: kind for name, kind in every.items() if metric is None or kind in metric.columns}
