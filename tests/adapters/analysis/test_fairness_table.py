"""The table by group: fairlearn on the rows themselves says the same as on their counts."""

import json

import fairlearn.metrics as fl
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from guardian.adapters.analysis.fairness_table import group_table
from guardian.catalog.parameters import CategoricalColumn, Parameters
from guardian.metrics.base import Options, Subject
from guardian.metrics.registry import measure_of
from guardian.testing.counts import counts_from_rows

SEX = CategoricalColumn("sex", ("f", "m", "x"))
METRICS = {
    "selection_rate": fl.selection_rate,
    "true_positive_rate": fl.true_positive_rate,
    "false_positive_rate": fl.false_positive_rate,
    "accuracy": accuracy_score,
}


def parameters(positive):
    return Parameters("binary_classification", (SEX,), ("0", "1"), positive, None, (("sex",),), 1)


def table(p, counts):
    return group_table(p, "sex", counts.part("labels/sex"), counts.part("outcome/sex"))


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("seed", [1, 2])
def test_rows_are_fairlearns(seed, positive):
    rng = np.random.default_rng(seed)
    sex, true = rng.choice(SEX.keys, 500, p=[0.5, 0.4, 0.1]), rng.integers(0, 2, 500)
    said = np.where(rng.random(500) < 0.75, true, 1 - true)
    p = parameters(positive)
    classes = np.array(["0", "1"] if positive else ["1", "0"])
    counts = counts_from_rows(p, {"sex": sex.tolist()}, classes[said].tolist(), None, classes[true].tolist())
    frame = fl.MetricFrame(metrics=METRICS, y_true=true, y_pred=said, sensitive_features=sex)
    got = table(p, counts)
    assert [row["group"] for row in got] == ["f", "m", "x"]
    for row in got:
        mine = sex == row["group"]
        assert (row["n"], row["labelled"], row["positives"]) == (mine.sum(), mine.sum(), true[mine].sum())
        # Rounded to the nine digits that are recorded.
        assert {what: row[what] for what in METRICS} == pytest.approx(frame.by_group.loc[row["group"]].to_dict(), abs=1e-9)
    json.dumps(got, allow_nan=False)


def test_the_table_agrees_with_the_measurement_beside_it():
    rng = np.random.default_rng(3)
    sex, said, true = rng.choice(SEX.keys, 300).tolist(), rng.integers(0, 2, 300).tolist(), rng.integers(0, 2, 300).tolist()
    p = parameters(1)
    counts = counts_from_rows(p, {"sex": sex}, said, None, true)
    rates = {row["group"]: row["selection_rate"] for row in table(p, counts)}
    got = measure_of("fairness.demographic_parity_ratio")(counts, None, Subject(by="sex"), Options())
    assert {name: group["rate"] for name, group in got.detail["groups"].items()} == rates


def test_an_empty_denominator_is_none_and_an_empty_group_is_no_row():
    p = parameters(1)
    counts = counts_from_rows(p, {"sex": ["f", "f", "m", "m"]}, [1, 0, 1, 1], None, [1, 1, None, None])
    f, m = table(p, counts)
    assert (f["n"], f["positives"], f["negatives"]) == (2, 2, 0)
    assert (f["true_positive_rate"], f["false_positive_rate"], f["accuracy"]) == (0.5, None, 0.5)
    assert (m["labelled"], m["selection_rate"], m["accuracy"], m["true_positive_rate"]) == (0, 1.0, None, None)


def test_without_any_label_selection_is_still_told():
    p = parameters(1)
    (row,) = table(p, counts_from_rows(p, {"sex": ["f"]}, [1]))
    assert row["selection_rate"] == 1.0
    assert row["accuracy"] is None


def test_a_multiclass_model_has_accuracy_only():
    p = Parameters("multiclass_classification", (SEX,), ("a", "b"), -1, None, (("sex",),), 1)
    counts = counts_from_rows(p, {"sex": ["f", "f", "m"]}, ["a", "z", "b"], [0.5] * 3, ["a", "z", "a"])
    f, m = table(p, counts)
    assert (f["accuracy"], m["accuracy"]) == (0.5, 0.0)
    assert f["selection_rate"] is f["true_positive_rate"] is None
