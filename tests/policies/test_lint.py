"""Advice on the shipped files, and how late an alert can be."""

from pathlib import Path

import pytest

from guardian.metrics.registry import REGISTRY
from guardian.policies.lint import SCORED, advise, lateness
from guardian.policies.load import load_set, subjects_of
from guardian.units import DAY_MS, HOUR_MS

SHIPPED = Path(__file__).parents[2] / "policies"


@pytest.fixture(scope="module")
def shipped():
    return load_set({path.name: path.read_bytes() for path in SHIPPED.glob("*.yaml")})


def row(shipped, policy, rule):
    return next(each for each in lateness(shipped) if (each.policy, each.rule) == (policy, rule))


def test_the_shipped_files_need_no_advice(shipped):
    assert not shipped.warnings
    assert not advise(shipped)


def test_the_shipped_policies_judge_what_the_documentation_says(shipped):
    counted = {
        (policy.name, rule.alert): len(subjects_of(rule, model)) * len(rule.rungs)
        for policy in shipped.policies.values()
        for model in shipped.models_of(policy)
        for rule in policy.spec.rules
    }
    assert counted[("employment-drift", "FeatureDrift")] == 18 * 2
    assert counted[("car-loan-drift", "FeatureDrift")] == 9 * 2
    assert counted[("employment-performance", "AucDrop")] == 1
    assert sum(count for (policy, _), count in counted.items() if policy == "employment-fairness") == 12


def test_an_alert_of_what_is_known_at_once_waits_for_its_evaluations_and_late_events(shipped):
    found = row(shipped, "car-loan-drift", "FeatureDrift")
    assert (found.evaluations, found.first_look_ms, found.opens_ms) == (2, 6 * HOUR_MS, DAY_MS + 6 * HOUR_MS)
    assert found.labels_ms is None
    assert found.final_ms == 120 * DAY_MS + 6 * HOUR_MS
    assert str(found) == (
        "car-loan-drift/FeatureDrift on car-loan: opens at evaluation 2, 1d6h after the first bad window's end; "
        "final 120d6h after a window's end"
    )


def test_an_alert_of_labels_says_that_it_waits_for_them(shipped):
    found = row(shipped, "employment-performance", "AccuracyDrop")
    assert found.labels_ms == 120 * DAY_MS
    assert "at the earliest, once labels are mature; labels count for 120d" in str(found)


def test_each_rule_has_a_row_for_each_model_it_is_about(shipped):
    rows = lateness(shipped)
    assert len(rows) == sum(len(p.spec.rules) * len(shipped.models_of(p)) for p in shipped.policies.values())


def test_metrics_of_scores_are_metrics():
    assert set(REGISTRY) >= SCORED
