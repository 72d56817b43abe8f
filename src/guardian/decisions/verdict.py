"""From a measurement to a verdict with its reason. A rule's threshold says what matters; the interval what the sample can tell.

Takes measurements and conditions. Gives verdicts, public reason codes and the rows that the audit log keeps. Never: measures,
remembers, reads a clock. Decision rule: STATISTICS section 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from guardian.canonical import canonical, short_id
from guardian.metrics.base import Subject, Undefined, Why
from guardian.units import round_significant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.metrics.base import Measurement
    from guardian.policies.model import Condition, Require, Severity

LABEL_COVERAGE_MIN: Final = 0.9  # Share of a window's predictions that must have their label, unless a rule says otherwise.


class Verdict(StrEnum):
    """What was judged. `unknown` is never compliant."""

    VIOLATED = "violated"
    SATISFIED = "satisfied"
    INCONCLUSIVE = "inconclusive"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a verdict is what it is. Public: reports, cases and subscribers match on it. Every `Why` is one of them."""

    BEYOND = "interval-beyond-threshold"
    WITHIN = "interval-within-threshold"
    STRADDLES = "interval-straddles-threshold"
    CELLS_TOO_SMALL = "cells-too-small"
    NO_DATA = Why.NO_DATA.value
    NO_REFERENCE = Why.NO_REFERENCE.value
    NO_LABELS = Why.NO_LABELS.value
    NO_SCORE = Why.NO_SCORE.value
    ONE_CLASS = Why.ONE_CLASS.value
    GROUPS_TOO_SMALL = Why.GROUPS_TOO_SMALL.value
    TOO_FEW_ROWS = Why.TOO_FEW_ROWS.value
    IMMATURE_LABELS = Why.IMMATURE_LABELS.value
    PARAMETERS_CHANGED = Why.PARAMETERS_CHANGED.value
    NOT_DEFINED = Why.NOT_DEFINED.value


def decide(measurement: Measurement, condition: Condition) -> tuple[Verdict, Reason]:
    """Judge one measurement by what must not be.

    `violated` needs both ends of the interval on the wrong side, `satisfied` both on the right side and the method's own
    condition. The threshold itself is on the wrong side for `>=` and `<=`, on the right side for `>` and `<`. An interval
    that is none (an end is no number, or the ends are crossed) is unknown, never compliant.

    >>> from guardian.metrics.base import Measured
    >>> from guardian.policies.model import Condition
    >>> [decide(Measured(0.3, 900, low, 0.34), Condition(">", 0.2))[1].value for low in (0.28, 0.1)]
    ['interval-beyond-threshold', 'interval-straddles-threshold']
    """
    if isinstance(measurement, Undefined):
        return Verdict.UNKNOWN, Reason(measurement.why)
    if not measurement.low <= measurement.high:
        return Verdict.UNKNOWN, Reason.NOT_DEFINED
    low_is_wrong, high_is_wrong = _on_wrong_side(measurement.low, condition), _on_wrong_side(measurement.high, condition)
    if low_is_wrong and high_is_wrong:
        return Verdict.VIOLATED, Reason.BEYOND
    if low_is_wrong or high_is_wrong:
        return Verdict.INCONCLUSIVE, Reason.STRADDLES
    if not measurement.fit:
        return Verdict.INCONCLUSIVE, Reason.CELLS_TOO_SMALL
    return Verdict.SATISFIED, Reason.WITHIN


def gate(require: Require, n: int, coverage: float | None, *, needs_labels: bool) -> Undefined | None:
    """Return why a rule may not be judged on a window, or None when it may.

    A window without rows passes where the rule requires none: the metric says what that means (nothing to compare, or a
    volume of zero).

    Args:
        require: The rule's conditions.
        n: Live rows that the metric reads; labelled ones for a metric of labels.
        coverage: Share of the window's predictions that have a label, in [0, 1]; None when there is no prediction.
        needs_labels: Whether the metric waits for the truth.

    >>> from guardian.policies.model import Require
    >>> gate(Require(rows=500), 12, None, needs_labels=False).why.value
    'too-few-rows'
    """
    if needs_labels and coverage is None:
        return Undefined(Why.NO_DATA)
    early = immature(require, n, coverage) if needs_labels and coverage is not None else None
    return early or too_few(require, n)


def immature(require: Require, n: int, coverage: float) -> Undefined | None:
    """Return why `n` labels, a share `coverage` in [0, 1] of those to come, are too early to judge by, or None."""
    least = least_coverage(require)
    if coverage >= least:
        return None
    return Undefined(Why.IMMATURE_LABELS, n, {"label_coverage": round_significant(coverage), "required": least})


def too_few(require: Require, n: int) -> Undefined | None:
    """Return why `n` rows do not suffice, or None."""
    if require.rows is None or n >= require.rows:
        return None
    return Undefined(Why.TOO_FEW_ROWS, n, {"required": require.rows}) if n else Undefined(Why.NO_DATA)


def least_coverage(require: Require) -> float:
    """Return the label coverage that a rule demands, a share in [0, 1]."""
    return LABEL_COVERAGE_MIN if require.label_coverage is None else require.label_coverage


def rounded(measurement: Measurement) -> Measurement:
    """Round value and interval to the digits that are judged and recorded; the same counts then give the same bytes."""
    if isinstance(measurement, Undefined):
        return measurement
    value, low, high = (round_significant(x) for x in (measurement.value, measurement.low, measurement.high))
    return replace(measurement, value=value, low=low, high=high)


@lru_cache(maxsize=4096)  # Subjects of the rules in use; ids are made of them again and again.
def about_subject(subject: Subject) -> str:
    """Return the canonical text of a subject that ids are derived from."""
    return canonical(subject.to_json()).decode()


@dataclass(frozen=True, slots=True)
class VerdictKey:
    """What a verdict is about: its identity. Times are UTC milliseconds; the window is [window_start, window_end)."""

    model: str
    version: str
    policy: str
    rule: str
    severity: Severity
    subject: Subject
    window_start: int
    window_end: int

    @property
    def id(self) -> str:
        """The verdict's id, a digest of its identity; `ID@REVISION` names one revision."""
        about = about_subject(self.subject)
        window = (str(self.window_start), str(self.window_end))
        return short_id("verdict", self.model, self.version, self.policy, self.rule, self.severity, about, *window)


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One revision of one verdict, as the audit log keeps it.

    Attributes:
        key: What it is about.
        revision: From 1; a window judged again gets the next.
        final: Whether no later revision can come.
        due_at: The instant of the model's clock at which it was judged, UTC milliseconds.
        verdict: What was judged.
        reason: Why.
        value: The estimate in the metric's unit, or None where there is none.
        low: Lower end of the interval, or None.
        high: Upper end of the interval, or None.
        threshold: What must not be.
        n: Live observations.
        detail: JSON value: what the metric or the gate adds.
        evidence: Digest of the merged counts that it read, or None.
        alert_id: The alert that it belongs to, or None.
        metric: Name in the metric registry.
    """

    key: VerdictKey
    revision: int
    final: bool
    due_at: int
    verdict: Verdict
    reason: Reason
    value: float | None
    low: float | None
    high: float | None
    threshold: Condition
    n: int
    metric: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    evidence: str | None = None
    alert_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row's object in the `rows` of an audit record of kind `verdicts`."""
        key = self.key
        return {
            "id": key.id,
            "rule": key.rule,
            "severity": key.severity,
            "metric": self.metric,
            "subject": key.subject.to_json(),
            "revision": self.revision,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "value": self.value,
            "interval": None if self.low is None or self.high is None else [self.low, self.high],
            "threshold": self.threshold.threshold,
            "condition": str(self.threshold),
            "n": self.n,
            "detail": dict(self.detail),
            "evidence": self.evidence,
            "alert_id": self.alert_id,
        }


def _on_wrong_side(x: float, condition: Condition) -> bool:
    match condition.operator:
        case ">":
            return x > condition.threshold
        case ">=":
            return x >= condition.threshold
        case "<":
            return x < condition.threshold
        case "<=":
            return x <= condition.threshold
