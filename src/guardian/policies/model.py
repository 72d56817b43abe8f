"""`kind: Policy`: what must hold of a model. The shape of the file, as frozen types.

Loading (lines, columns, every mistake at once) is policies.load; advice on valid files is policies.lint.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from guardian.catalog.model_file import DurationMs, Metadata, Strict
from guardian.files.validate import Conflict, refuse
from guardian.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES_MAX: Final = 500
Severity = Literal["warn", "error"]
Operator = Literal[">", ">=", "<", "<="]
Change = Literal["drop", "rise", "ratio"]
_CONDITION: Final = re.compile(r"\s*(>=|<=|>|<)\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must NOT be, decided on the interval: an operator and a threshold."""

    operator: Operator
    threshold: float

    @property
    def bad_above(self) -> bool:
        """Whether greater values are the bad ones."""
        return self.operator in {">", ">="}

    def __str__(self) -> str:
        short = f"{self.threshold:g}"  # Six digits; the text is the policy's meaning, so it must not lose any.
        return f"{self.operator} {short if float(short) == self.threshold else repr(self.threshold)}"


def parse_condition(value: object) -> object:
    """Read `> 0.2` into a Condition; a Condition is left as it is. Raises ValueError for anything else."""
    if isinstance(value, Condition):
        return value
    match = _CONDITION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be an operator and a number, such as "> 0.2"')
    if not math.isfinite(float(match[2])):
        raise ValueError("the number is too large")
    return Condition(match[1], float(match[2]))  # type: ignore[arg-type]  # the pattern allows only operators


ConditionText = Annotated[
    Condition,
    BeforeValidator(parse_condition, json_schema_input_type=str),
    PlainSerializer(str),
    Field(description='What must not be, such as "> 0.2"; decided on the interval.'),
]


NO_RUNG: Final = Conflict(("alert",), "a rule needs warn, error or both", 'add error: "> 0.2"')


def rung_conflicts(rungs: Mapping[Severity, Condition]) -> list[Conflict]:
    """Return what is wrong between the rungs of one rule; places are below the rule."""
    if len({condition.bad_above for condition in rungs.values()}) <= 1:
        return []
    return [Conflict(("error",), "warn and error must look the same way", "use > in both, or < in both")]


def name_conflicts(names: Mapping[int, str]) -> list[Conflict]:
    """Return the rules whose name an earlier one has, of names by the rule's place; places are below the spec."""
    first = {name: i for i, name in reversed([*names.items()])}
    return [
        Conflict(("rules", i, "alert"), f"two rules are called {name}", "rename one")
        for i, name in names.items()
        if first[name] != i
    ]


class Match(Strict):
    """Which models and versions a policy is about."""

    models: tuple[str, ...] = Field(description="Names of models.", min_length=1)
    versions: Literal["champion", "all"] | tuple[str, ...] = Field(default="champion", description="champion, all, or a list.")


class Defaults(Strict):
    """What rules use unless they say otherwise."""

    window: DurationMs = Field(default=30 * DAY_MS, description="Span of event time a verdict is about.")
    every: DurationMs = Field(default=DAY_MS, description="Distance between window ends, aligned to the UTC epoch.")
    open_after: int = Field(default=2, ge=1, le=1_000, description="Violated evaluations after which an alert opens.")
    close_after: int = Field(default=2, ge=1, le=1_000, description="Satisfied evaluations after which it closes.")


class Except(Strict):
    """All columns but these."""

    model_config = Strict.model_config | {"populate_by_name": True}

    names: tuple[str, ...] = Field(alias="except", description="Columns to leave out.")


class Require(Strict):
    """Under what conditions a rule may be judged at all."""

    rows: int | None = Field(default=None, ge=1, description="Fewer rows are unknown: too-few-rows.")
    label_coverage: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Lower is unknown: immature-labels. Default 0.9 for label rules.",
    )
    group_size: int | None = Field(default=None, ge=1, description="Smaller groups are named and kept out of the extremes.")


class OnUnknown(Strict):
    """What to do when a rule cannot be judged for long."""

    alert: Severity = Field(description="Severity of that alert.")
    after: int = Field(default=3, ge=1, le=1_000, description="Consecutive unknown windows after which it opens.")


class Retrain(Strict):
    """What a firing alert of the rule asks for."""

    approval: Literal["required", "auto"] = Field(default="required", description="Whether a person must approve.")
    cooldown: DurationMs = Field(default=14 * DAY_MS, description="No second request within this span.")
    on: Severity = Field(default="error", description="The severity that asks.")


class Rule(Strict):
    """One thing that must hold, on one or two rungs."""

    alert: str = Field(description="Name of the alert, CamelCase by custom.", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    metric: str = Field(description="A name of the metric registry, such as drift.psi.")
    columns: Literal["all"] | tuple[str, ...] | Except | None = Field(
        default=None, description="For metrics of columns: all, a list, or {except: [..]}."
    )
    by: str | tuple[str, ...] | None = Field(
        default=None, description="For metrics of groups: a protected attribute, or a declared segment."
    )
    classes: Literal["all"] | tuple[str, ...] | None = Field(
        default=None, description="For multiclass metrics: per class instead of macro."
    )
    change: Change | None = Field(default=None, description="Judge the change from the reference.")
    parameters: dict[str, float] = Field(default_factory=dict, description="Parameters of the metric, such as quantile.")
    warn: ConditionText | None = Field(default=None, description='What must not be, such as "> 0.1".')
    error: ConditionText | None = Field(default=None, description='What must not be, such as "> 0.2".')
    window: DurationMs | None = Field(default=None, description="Overrides defaults.window.")
    every: DurationMs | None = Field(default=None, description="Overrides defaults.every.")
    open_after: int | None = Field(default=None, ge=1, le=1_000, description="Overrides defaults.open_after.")
    close_after: int | None = Field(default=None, ge=1, le=1_000, description="Overrides defaults.close_after.")
    restate_every: DurationMs | None = Field(default=None, description="Judge a window again this often until it is final.")
    require: Require = Field(default_factory=Require, description="Conditions for judging at all.")
    on_unknown: OnUnknown | None = Field(default=None, description="Alert when it cannot be judged for long.")
    retrain: Retrain | None = Field(default=None, description="Propose retraining when the alert fires.")
    labels: dict[str, str] = Field(default_factory=dict, description="Copied into alerts.")
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Templates ({{ model }}, {{ value }} ..) rendered into alerts."
    )

    @property
    def rungs(self) -> tuple[tuple[Severity, Condition], ...]:
        """The severities this rule judges, mildest first."""
        both: tuple[tuple[Severity, Condition | None], ...] = (("warn", self.warn), ("error", self.error))
        return tuple((severity, condition) for severity, condition in both if condition is not None)

    @property
    def segment(self) -> tuple[str, ...]:
        """The segment named by `by`; empty for everyone."""
        if self.by is None:
            return ()
        return (self.by,) if isinstance(self.by, str) else self.by

    @model_validator(mode="after")
    def _has_a_rung(self) -> Self:
        refuse("Rule", [NO_RUNG] if not self.rungs else rung_conflicts(dict(self.rungs)))
        return self


class PolicySpec(Strict):
    """What one policy says."""

    mode: Literal["enforce", "observe"] = Field(default="enforce", description="observe: verdicts only, no alerts, no requests.")
    match: Match = Field(description="Which models and versions it is about.")
    defaults: Defaults = Field(default_factory=Defaults, description="What rules use unless they say otherwise.")
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=RULES_MAX, description="What must hold.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        refuse("PolicySpec", name_conflicts({i: rule.alert for i, rule in enumerate(self.rules)}))
        return self


class PolicyFile(Strict):
    """A whole `kind: Policy` document."""

    apiVersion: Literal["guardian/v1alpha1"] = Field(description="Version of this format.")  # noqa: N815 - the file's own key
    kind: Literal["Policy"] = Field(description="What this document is.")
    metadata: Metadata = Field(description="Who and what this file is about.")
    spec: PolicySpec = Field(description="What must hold.")

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.metadata.name

    def window_of(self, rule: Rule) -> int:
        """Milliseconds of event time one verdict of `rule` is about."""
        return self.spec.defaults.window if rule.window is None else rule.window

    def every_of(self, rule: Rule) -> int:
        """Milliseconds between window ends of `rule`."""
        return self.spec.defaults.every if rule.every is None else rule.every

    def open_after_of(self, rule: Rule) -> int:
        """Violated evaluations after which an alert of `rule` opens."""
        return rule.open_after or self.spec.defaults.open_after

    def close_after_of(self, rule: Rule) -> int:
        """Satisfied evaluations after which an alert of `rule` closes."""
        return rule.close_after or self.spec.defaults.close_after

    def rule(self, name: str) -> Rule:
        """Return the rule called `name`. Raises KeyError."""
        for rule in self.spec.rules:
            if rule.alert == name:
                return rule
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON value of the file's meaning; its digest is the policy's digest."""
        return self.model_dump(mode="json", by_alias=True)
