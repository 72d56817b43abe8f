"""Advice on a valid set: rules that cannot do what their author meant, and how late each alert comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardian.files.document import shown
from guardian.metrics.registry import REGISTRY
from guardian.policies.checks import value_range
from guardian.policies.load import subjects_of
from guardian.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.catalog.model_file import ModelFile
    from guardian.errors import Mistake
    from guardian.files.document import Document, Path
    from guardian.metrics.metric import Metric
    from guardian.policies.load import PolicySet
    from guardian.policies.model import Condition, PolicyFile, Rule, Severity

SCORED = frozenset({"performance.roc_auc", "performance.brier", "performance.log_loss", "performance.expected_calibration_error"})
"""Metrics of the model that are made of scores alone; without a score they are always unknown."""


def advise(policy_set: PolicySet) -> list[Mistake]:
    """Return warnings on a valid set, in file order; those that loading found are not repeated."""
    found: list[Mistake] = []
    for policy in policy_set.policies.values():
        document = policy_set.documents[("Policy", policy.name)]
        models = policy_set.models_of(policy)
        for i, rule in enumerate(policy.spec.rules):
            advice = _Advice(document, ("spec", "rules", i), policy, rule, REGISTRY[rule.metric])
            found += advice.alone()
            for model in models:
                found += advice.against(model)
    return sorted(dict.fromkeys(found), key=lambda m: (m.file, m.line, m.column, m.code))


@dataclass(frozen=True, slots=True)
class _Advice:
    """Advice on one rule; `at` is its path."""

    document: Document
    at: Path
    policy: PolicyFile
    rule: Rule
    metric: Metric

    def warn(self, code: str, below: Path, what: str, hint: str) -> Mistake:
        return self.document.mistake(f"policy.{code}", (*self.at, *below), what, hint, warning=True)

    def alone(self) -> Iterator[Mistake]:
        """Yield what can be said whichever model it is about."""
        rule, metric = self.rule, self.metric
        if metric.family == "drift" and rule.require.rows is None:
            what = f"{rule.alert} has no require.rows: in a small window chance alone moves {metric.name}"
            yield self.warn("no-rows", ("metric",), what, "add require: {rows: 500}")
        if rule.retrain is not None and rule.retrain.on not in dict(rule.rungs):
            what = f"{rule.alert} asks for retraining on {rule.retrain.on}, which it does not judge"
            yield self.warn("retrain-never", ("retrain",), what, f"add {rule.retrain.on}:, or set retrain.on")
        window, every = self.policy.window_of(rule), self.policy.every_of(rule)
        if every > window:
            what = f"windows of {format_duration(window)} every {format_duration(every)} leave gaps: some events are in none"
            path: Path = ("every",) if rule.every is not None else ("window",)
            yield self.warn("gaps", path, what, f"every: {format_duration(window)} or less")
        yield from self.requirements()
        yield from self.thresholds()

    def requirements(self) -> Iterator[Mistake]:
        """Yield requirements without effect, and one that is hardly ever met."""
        require, metric = self.rule.require, self.metric
        if require.label_coverage is not None and not metric.needs_labels and self.rule.retrain is None:
            what = f"{metric.name} does not wait for labels"
            yield self.warn("unused-requirement", ("require", "label_coverage"), what, "remove label_coverage")
        if require.group_size is not None and metric.of != "groups":
            what = f"{metric.name} does not compare groups"
            yield self.warn("unused-requirement", ("require", "group_size"), what, "remove group_size, or use rows")
        if require.label_coverage == 1 and metric.needs_labels:
            what = "one label that never comes leaves this rule unknown for ever"
            yield self.warn("full-coverage", ("require", "label_coverage"), what, "0.9 is the default")

    def thresholds(self) -> Iterator[Mistake]:
        """Yield thresholds at the metric's limits, and a warning rung that is not the milder one."""
        low, high = value_range(self.metric, self.rule.change)
        for severity, condition in self.rule.rungs:
            never = _never(condition, low, high)
            if never is not None:
                what = f"{condition} is never {never}: {self.rule.metric} lies in [{low:g}, {high:g}]"
                hint = "an alert would never open" if never == "violated" else "an alert would never close"
                yield self.warn("threshold-at-limit", (severity,), what, hint)
        warn, error = self.rule.warn, self.rule.error
        if warn is not None and error is not None and not _milder(warn, error):
            what = f"warn ({warn}) is not milder than error ({error})"
            yield self.warn("rungs-swapped", ("warn",), what, "swap them, or leave warn out")

    def against(self, model: ModelFile) -> Iterator[Mistake]:
        """Yield what can never be judged of this model."""
        metric, rule, spec = self.metric, self.rule, model.spec
        unknown = f"{rule.alert} is always unknown for {model.name}"
        if spec.labels is None and (metric.needs_labels or "delay" in metric.reads):
            yield self.warn("no-labels", ("metric",), f"{unknown}: it gets no labels", "add labels to the model file")
        by_itself = metric.is_unknown_without_reference(spec.task)
        if spec.reference is None and (by_itself or rule.change is not None):
            path: Path = ("metric",) if by_itself else ("change",)
            yield self.warn("no-reference", path, f"{unknown}: it has no reference", "add reference to the model file")
        if spec.columns.score is None and self.needs_score(model):
            yield self.warn("no-score", ("metric",), f"{unknown}: it gives no score", "name columns.score in the model file")

        if metric.of == "columns" and not subjects_of(rule, model):
            what = f"{metric.name} is defined for no column of {model.name} that {rule.alert} names, so nothing is judged there"
            at: Path = ("metric",) if rule.columns is None else ("columns",)
            yield self.warn("no-columns", at, what, f"it is for {' and '.join(metric.columns)} columns")
        yield from self.retraining(model)

    def retraining(self, model: ModelFile) -> Iterator[Mistake]:
        """Yield a request for retraining that is weighed by labels while the rule does not wait for them."""
        rule, labelled = self.rule, model.spec.labels is not None
        if rule.retrain is None or self.metric.needs_labels or rule.require.label_coverage == 0:
            return
        often, why = ("usually", "before labels are mature") if labelled else ("always", "and no labels ever come")
        what = f"{rule.alert} asks to retrain {model.name} {why}: {often} declined as immature-labels"
        other = (
            "put retrain on a performance rule"
            if labelled
            else "add labels to the model file and put retrain on a performance rule"
        )
        yield self.warn(
            "retrain-declined", ("retrain",), what, f"{other}, or set require.label_coverage: 0 to ask without labels"
        )

    def needs_score(self, model: ModelFile) -> bool:
        if self.metric.name in SCORED:
            return True
        return any(subject.output == "score" for subject in subjects_of(self.rule, model))


def _never(condition: Condition, low: float, high: float) -> str | None:
    """Return which verdict cannot be, given that values (and the ends of intervals) lie in [low, high]."""
    threshold = condition.threshold
    match condition.operator:
        case ">":
            return "violated" if threshold >= high else "satisfied" if threshold < low else None
        case ">=":
            return "violated" if threshold > high else "satisfied" if threshold <= low else None
        case "<":
            return "violated" if threshold <= low else "satisfied" if threshold > high else None
        case "<=":
            return "violated" if threshold < low else "satisfied" if threshold >= high else None


def _milder(warn: Condition, error: Condition) -> bool:
    return warn.threshold < error.threshold if warn.bad_above else warn.threshold > error.threshold


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after the fact the alert of one rule can come. Spans are milliseconds.

    Attributes:
        policy: The policy.
        rule: The rule.
        model: The model.
        severities: The rungs it judges.
        evaluations: Violated evaluations after which it opens.
        first_look_ms: From a window's end to its first judgement.
        opens_ms: From the end of the first violated window to the earliest alert: the further evaluations and the first look.
        labels_ms: Labels count until this long after the end of their prediction's pane; None where the rule waits for none.
        final_ms: From a window's end to its final judgement, after which nothing changes.
    """

    policy: str
    rule: str
    model: str
    severities: tuple[Severity, ...]
    evaluations: int
    first_look_ms: int
    opens_ms: int
    labels_ms: int | None
    final_ms: int

    def __str__(self) -> str:
        opens = f"opens at evaluation {self.evaluations}, {format_duration(self.opens_ms)} after the first bad window's end"
        if self.labels_ms is not None:
            opens += f" at the earliest, once labels are mature; labels count for {format_duration(self.labels_ms)}"
        where = f"{self.policy}/{self.rule} on {shown(self.model)[1:-1]}"
        return f"{where}: {opens}; final {format_duration(self.final_ms)} after a window's end"


def lateness(policy_set: PolicySet) -> tuple[Lateness, ...]:
    """Return, for each rule and each model it is about, how late its alert can come; in file order of rules."""
    return tuple(
        _lateness(policy, rule, model)
        for policy in policy_set.policies.values()
        for rule in policy.spec.rules
        for model in policy_set.models_of(policy)
    )


def _lateness(policy: PolicyFile, rule: Rule, model: ModelFile) -> Lateness:
    spec = model.spec
    evaluations = policy.open_after_of(rule)
    waits = REGISTRY[rule.metric].needs_labels and spec.labels is not None
    return Lateness(
        policy=policy.name,
        rule=rule.alert,
        model=model.name,
        severities=tuple(severity for severity, _ in rule.rungs),
        evaluations=evaluations,
        first_look_ms=spec.allowed_lateness,
        opens_ms=(evaluations - 1) * policy.every_of(rule) + spec.allowed_lateness,
        labels_ms=spec.horizon_ms if waits else None,
        final_ms=spec.allowed_lateness + spec.horizon_ms,
    )
