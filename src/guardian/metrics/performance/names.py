"""The performance metrics by name: how right a model is, once the truth is known. Light: nothing here computes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from guardian.metrics.metric import Metric

if TYPE_CHECKING:
    from guardian.catalog.parameters import Task

BINARY: Final[tuple[Task, ...]] = ("binary_classification",)
CLASSES: Final[tuple[Task, ...]] = ("binary_classification", "multiclass_classification")
REGRESSION: Final[tuple[Task, ...]] = ("regression",)
_SHARE: Final[dict[str, Any]] = {"unit": "share", "low": 0.0, "high": 1.0}
_IN_LABEL_UNITS: Final[dict[str, Any]] = {"unit": "label unit", "low": 0.0, "high": math.inf}


def _metric(what: str, title: str, reading: str, tasks: tuple[Task, ...], **rest: Any) -> Metric:
    """Return a metric of the model that reads its labels; `rest` are the other fields of Metric."""
    return Metric(name=f"performance.{what}", title=title, of="model", reads=("labels",), reading=reading, tasks=tasks, **rest)


METRICS: Final[tuple[Metric, ...]] = (
    _metric(
        "accuracy",
        "accuracy",
        "Of all decisions whose truth is known, the share {value} was right.",
        CLASSES,
        better="higher",
        **_SHARE,
        per_class=True,
    ),
    _metric(
        "precision",
        "precision",
        "Of the cases that the model called positive, the share {value} really was; "
        "with several classes, the plain average over the classes.",
        CLASSES,
        better="higher",
        **_SHARE,
        per_class=True,
    ),
    _metric(
        "recall",
        "recall",
        "Of the cases that really were positive, the model found the share {value}; "
        "with several classes, the plain average over the classes.",
        CLASSES,
        better="higher",
        **_SHARE,
        per_class=True,
    ),
    _metric(
        "f1",
        "F1",
        "Precision and recall together come to {value}: 1 when the model finds every positive case and "
        "calls no other positive, near 0 when it fails at either.",
        CLASSES,
        better="higher",
        **_SHARE,
        per_class=True,
    ),
    _metric(
        "balanced_accuracy",
        "balanced accuracy",
        "Averaged over the true classes, however rare, the share {value} was recognised; 0.5 is a coin toss between two classes.",
        CLASSES,
        better="higher",
        **_SHARE,
        per_class=True,
    ),
    _metric(
        "roc_auc",
        "ROC AUC",
        "Of a random positive and a random negative case, the model scores the positive one higher with "
        "chance {value}; 0.5 is a coin toss.",
        BINARY,
        better="higher",
        **_SHARE,
    ),
    _metric(
        "brier",
        "Brier score",
        "The squared distance between the predicted probability and what happened is {value} on average; "
        "0 is perfect, 0.25 is what always saying one half gives.",
        BINARY,
        better="lower",
        unit="1",
        low=0.0,
        high=1.0,
    ),
    _metric(
        "log_loss",
        "log loss",
        "The model is surprised by what happened by {value} nats a case on average; 0 is perfect, 0.693 is "
        "what always saying one half gives. Confident mistakes weigh most.",
        BINARY,
        better="lower",
        unit="nats",
        low=0.0,
        high=math.inf,
    ),
    _metric(
        "expected_calibration_error",
        "expected calibration error",
        "Predicted probabilities differ from how often the event happens by {value} on average, so a score "
        "of 0.7 should be read as 0.7 give or take that much.",
        CLASSES,
        better="lower",
        **_SHARE,
    ),
    _metric(
        "mae",
        "mean absolute error",
        "A prediction misses the truth by {value} on average, whichever way, in the label's own unit.",
        REGRESSION,
        better="lower",
        **_IN_LABEL_UNITS,
    ),
    _metric(
        "rmse",
        "root mean squared error",
        "A typical miss is {value}, in the label's own unit; large misses weigh more than in the mean absolute error.",
        REGRESSION,
        better="lower",
        **_IN_LABEL_UNITS,
    ),
    _metric(
        "bias",
        "bias",
        "Predictions lie above the truth by {value} on average, in the label's own unit; below it where the number is negative.",
        REGRESSION,
        better="neither",
        unit="label unit",
        low=-math.inf,
        high=math.inf,
    ),
    _metric(
        "r2",
        "R squared",
        "The model explains the share {value} of how the truth varies; 0 is no better than always "
        "predicting the mean, and less is worse than that.",
        REGRESSION,
        better="higher",
        unit="1",
        low=-math.inf,
        high=1.0,
    ),
)
