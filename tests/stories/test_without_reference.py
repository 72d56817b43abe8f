"""A model without a reference: what compares with one, or takes names from one, is unknown and never a number."""

import pytest

from guardian.testing.stories import Plot, World, files, model, policy
from guardian.units import HOUR_MS

CLASSES = {"task": "multiclass_classification", "positive_label": None}
TAKES_COMPARISON = ("quality.new_category_share", "quality.out_of_range_share", "drift.psi")
TAKES_CLASSES = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "expected_calibration_error")


def verdicts(spec, **rule):
    found = policy("bare", {"alert": "A", "error": "> 0.1", "require": {"label_coverage": 0}, **rule})
    world = World().activate(files(model(reference=None, **spec), (found,)))
    world.tell(Plot(hours=4, an_hour=20, delay=HOUR_MS // 2).events()).drain(50)
    world.engine.end()
    return {(row["verdict"], row["reason"]) for row in world.outcome().verdicts if row["n"]}


@pytest.mark.parametrize("metric", TAKES_COMPARISON)
@pytest.mark.parametrize("spec", [{}, CLASSES], ids=["binary", "multiclass"])
def test_nothing_is_new_or_out_of_range(metric, spec):
    assert verdicts(spec, metric=metric) == {("unknown", "no-reference")}


@pytest.mark.parametrize("metric", TAKES_CLASSES)
def test_no_class_of_several_is_known(metric):
    assert verdicts(CLASSES, metric=f"performance.{metric}") == {("unknown", "no-reference")}


@pytest.mark.parametrize(
    ("metric", "spec"), [("demographic_parity_difference", {}), ("accuracy_gap", {}), ("accuracy_gap", CLASSES)]
)
def test_no_group_is_known(metric, spec):
    assert verdicts(spec, metric=f"fairness.{metric}", by="sex") == {("unknown", "no-reference")}


def test_two_classes_are_known_by_the_positive_label():
    found = {verdict for verdict, _ in verdicts({}, metric="performance.accuracy", error="< 0.2")}
    assert found == {"satisfied"}
