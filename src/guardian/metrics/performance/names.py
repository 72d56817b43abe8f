"""The performance metrics by name: how right a model is, once the truth is known. Light: nothing here computes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from guardian.metrics.metric import Metric

if TYPE_CHECKING:
    from guardian.catalog.parameters import Task

BINARY: Final[tuple[Task, ...]] = ("binary_classification",)
CLASSES: Final[tuple[Task, ...]] = ("binary_classification", "multiclass_classification")
REGRESSION: Final[tuple[Task, ...]] = ("regression",)


def _share(what: str, title: str, reading: str, better: Literal["higher", "lower"], *, per_class: bool = False) -> Metric:
    return Metric(
        name=f"performance.{what}",
        title=title,
        unit="share",
        low=0.0,
        high=1.0,
        of="model",
        reads=("labels",),
        reading=reading,
        tasks=CLASSES,
        better=better,
        per_class=per_class,
    )


def _binary(what: str, title: str, reading: str, better: Literal["higher", "lower"], unit: str, high: float) -> Metric:
    return Metric(
        name=f"performance.{what}",
        title=title,
        unit=unit,
        low=0.0,
        high=high,
        of="model",
        reads=("labels",),
        reading=reading,
        tasks=BINARY,
        better=better,
    )


def _regression(
    what: str,
    title: str,
    reading: str,
    better: Literal["higher", "lower", "neither"],
    unit: str,
    bounds: tuple[float, float],
) -> Metric:
    return Metric(
        name=f"performance.{what}",
        title=title,
        unit=unit,
        low=bounds[0],
        high=bounds[1],
        of="model",
        reads=("labels",),
        reading=reading,
        tasks=REGRESSION,
        better=better,
    )


METRICS: Final[tuple[Metric, ...]] = (
    _share(
        "accuracy",
        "Accuracy",
        "Of all decisions whose truth is known, the share {value} was right.",
        "higher",
        per_class=True,
    ),
    _share(
        "precision",
        "Precision",
        "Of the cases that the model called positive, the share {value} really was; "
        "with several classes, the plain average over the classes.",
        "higher",
        per_class=True,
    ),
    _share(
        "recall",
        "Recall",
        "Of the cases that really were positive, the model found the share {value}; "
        "with several classes, the plain average over the classes.",
        "higher",
        per_class=True,
    ),
    _share(
        "f1",
        "F1",
        "Precision and recall together come to {value}: 1 when the model finds every positive case and "
        "calls no other positive, near 0 when it fails at either.",
        "higher",
        per_class=True,
    ),
    _share(
        "balanced_accuracy",
        "Balanced accuracy",
        "Averaged over the true classes, however rare, the share {value} was recognised; 0.5 is a coin toss between two classes.",
        "higher",
        per_class=True,
    ),
    _binary(
        "roc_auc",
        "ROC AUC",
        "Of a random positive and a random negative case, the model scores the positive one higher with "
        "chance {value}; 0.5 is a coin toss.",
        "higher",
        "share",
        1.0,
    ),
    _binary(
        "brier",
        "Brier score",
        "The squared distance between the predicted probability and what happened is {value} on average; "
        "0 is perfect, 0.25 is what always saying one half gives.",
        "lower",
        "1",
        1.0,
    ),
    _binary(
        "log_loss",
        "Log loss",
        "The model is surprised by what happened by {value} nats a case on average; 0 is perfect, 0.693 is "
        "what always saying one half gives. Confident mistakes weigh most.",
        "lower",
        "nats",
        math.inf,
    ),
    _share(
        "expected_calibration_error",
        "Expected calibration error",
        "Predicted probabilities differ from how often the event happens by {value} on average, so a score "
        "of 0.7 should be read as 0.7 give or take that much.",
        "lower",
    ),
    _regression(
        "mae",
        "Mean absolute error",
        "A prediction misses the truth by {value} on average, whichever way, in the label's own unit.",
        "lower",
        "label unit",
        (0.0, math.inf),
    ),
    _regression(
        "rmse",
        "Root mean squared error",
        "A typical miss is {value}, in the label's own unit; large misses weigh more than in the mean absolute error.",
        "lower",
        "label unit",
        (0.0, math.inf),
    ),
    _regression(
        "bias",
        "Bias",
        "Predictions lie above the truth by {value} on average, in the label's own unit; below it where the number is negative.",
        "neither",
        "label unit",
        (-math.inf, math.inf),
    ),
    _regression(
        "r2",
        "R squared",
        "The model explains the share {value} of how the truth varies; 0 is no better than always "
        "predicting the mean, and less is worse than that.",
        "higher",
        "1",
        (-math.inf, 1.0),
    ),
)
