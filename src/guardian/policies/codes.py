"""The codes of mistakes and warnings that only policy files have, beside `file.*`. Public: they never change meaning."""

from __future__ import annotations

from typing import Final

POLICY_CODES: Final[dict[str, str]] = {
    "policy.duplicate-name": "Two files of one kind have the same name.",
    "policy.version-name": "A version's name has characters that versions must not have, or the model has no versions.",
    "policy.unknown-metric": "There is no metric of this name.",
    "policy.wrong-task": "The metric is not defined for what the model does.",
    "policy.not-of-columns": "The metric is not about columns, so it takes no `columns`.",
    "policy.unknown-column": "The model has no such column.",
    "policy.wrong-column": "The metric is not defined for columns of this kind.",
    "policy.not-of-groups": "The metric does not compare groups, so it takes no `by`.",
    "policy.needs-by": "The metric compares groups and needs `by`.",
    "policy.unknown-segment": "The model declares no such segment.",
    "policy.not-per-class": "The metric, or the model, has no classes to be measured one by one.",
    "policy.no-change": "The metric's change from the reference cannot be judged.",
    "policy.threshold-out-of-range": "No value of the metric can be where the threshold is.",
    "policy.unknown-parameter": "The metric has no such parameter.",
    "policy.not-in-panes": "A window, or the distance between windows, is not a whole number of panes.",
    "policy.window-too-long": "A window has more than 10,000 panes.",
    "policy.template": "An annotation is no template that can be rendered.",
}

WARNING_CODES: Final[dict[str, str]] = {
    "policy.unknown-model": "A policy names a model that no file describes.",
    "policy.no-rows": "A drift rule has no least number of rows, so that chance alone may decide small windows.",
    "policy.no-labels": "A rule waits for labels of a model that gets none.",
    "policy.no-reference": "A rule needs a reference, to compare with or to know classes or groups by, and the model has none.",
    "policy.no-columns": "The model has no column that the metric is defined for, or all of them are left out.",
    "policy.no-score": "A rule needs the score, which the model does not give.",
    "policy.full-coverage": "A rule waits for every single label; one that never comes leaves it unknown for ever.",
    "policy.unused-requirement": "A requirement has no effect on this metric.",
    "policy.threshold-at-limit": "The threshold is at the metric's limit: it is never violated, or never satisfied.",
    "policy.rungs-swapped": "`warn` is not milder than `error`.",
    "policy.gaps": "Windows are further apart than they are long: some events are in none.",
    "policy.retrain-never": "Retraining is asked for on a severity that the rule does not judge.",
    "policy.retrain-declined": "Retraining is asked for before labels are mature: usually, or always, declined.",
}
