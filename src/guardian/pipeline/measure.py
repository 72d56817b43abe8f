"""One rule's measurement of one subject, as judged: conditions, the metric, its change from the reference, rounding.

A function of the rule, the subject, the evidence and the reference: `judge` and `replay` both call it, so they cannot differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guardian.decisions.verdict import immature, rounded, too_few
from guardian.metrics.base import Measured, Measurement, Options, Undefined, Why
from guardian.metrics.change import change
from guardian.metrics.registry import REGISTRY, measure_of
from guardian.panes.windows import BeyondError, ChangedError
from guardian.units import round_significant

if TYPE_CHECKING:
    from guardian.metrics.base import Counts, Subject
    from guardian.policies.model import Rule


def measure(rule: Rule, subject: Subject, live: Counts, reference: Counts | None) -> Measurement:
    """Measure `subject` by `rule`, or say why it cannot be judged; values are rounded as they are recorded."""
    if REGISTRY[rule.metric].needs_labels and live.predictions:
        early = immature(rule.require, live.labelled, live.labelled / live.predictions)
        if early is not None:
            return early
    found = _measure(rule, subject, live, reference)
    if isinstance(found, Measured):
        found = too_few(rule.require, found.n) or found
    return _tidy(rounded(found))


def _measure(rule: Rule, subject: Subject, live: Counts, reference: Counts | None) -> Measurement:
    metric, function = REGISTRY[rule.metric], measure_of(rule.metric)
    options = Options(rule.require.group_size or 1, {**metric.parameters, **rule.parameters})
    if (metric.needs_reference or rule.change) and reference is None:
        return Undefined(Why.NO_REFERENCE, live.predictions)
    try:
        now = function(live, reference, subject, options)
    except ChangedError:
        return Undefined(Why.PARAMETERS_CHANGED, live.predictions)
    except BeyondError:
        return Undefined(Why.NOT_DEFINED, live.predictions, {"hint": "its sums leave 62 bits: declare a larger unit"})
    if rule.change is None or reference is None or not isinstance(now, Measured):
        return now
    before = function(reference, reference, subject, options)
    if not isinstance(before, Measured):
        return Undefined(Why.NO_REFERENCE, now.n, {"reference": before.why.value})
    return change(now, before, rule.change)


def _tidy(measurement: Measurement) -> Measurement:
    return replace(measurement, detail=_rounded(dict(measurement.detail))) if measurement.detail else measurement


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round_significant(value)
        case dict():
            return {name: _rounded(item) for name, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
        case _:
            return value
