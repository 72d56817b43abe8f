"""The fairness metrics by name: how differently groups of people are treated. Light: nothing here computes.

Names and definitions are fairlearn's, so that values can be compared; intervals and the treatment of small
groups are guardian's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from guardian.metrics.metric import Metric

if TYPE_CHECKING:
    from guardian.catalog.parameters import Task
    from guardian.metrics.metric import Reads

BINARY: Final[tuple[Task, ...]] = ("binary_classification",)
CLASSES: Final[tuple[Task, ...]] = ("binary_classification", "multiclass_classification")


def _metric(
    what: str,
    title: str,
    reads: Reads,
    reading: str,
    better: Literal["higher", "lower", "neither"] = "lower",
    tasks: tuple[Task, ...] = BINARY,
) -> Metric:
    return Metric(
        name=f"fairness.{what}",
        title=title,
        unit="1" if what.endswith("_ratio") else "share",
        low=0.0,
        high=1.0,
        of="groups",
        reads=(reads,),
        reading=reading,
        tasks=tasks,
        better=better,
    )


METRICS: Final[tuple[Metric, ...]] = (
    _metric(
        "selection_rate",
        "lowest selection rate",
        "outcome",
        "In the group that is chosen least often, the share {value} gets the positive decision.",
        "neither",
    ),
    _metric(
        "demographic_parity_difference",
        "selection rate difference",
        "outcome",
        "Between the group chosen most often and the one chosen least often, the share that gets the "
        "positive decision differs by {value}; 0 means all groups are chosen equally often.",
    ),
    _metric(
        "demographic_parity_ratio",
        "selection rate ratio",
        "outcome",
        "The group chosen least often gets the positive decision {value} times as often as the group chosen "
        "most often; 1 means equally often, and below 0.8 the four-fifths rule calls it adverse impact.",
        "higher",
    ),
    _metric(
        "equal_opportunity_difference",
        "equal opportunity difference",
        "labels",
        "Among people who deserve the positive decision, the share that gets it differs by {value} between "
        "the best and the worst served group; 0 means equal opportunity.",
    ),
    _metric(
        "equalized_odds_difference",
        "equalized odds difference",
        "labels",
        "Among people with the same true outcome, the share that gets the positive decision differs by up to "
        "{value} between groups; 0 means that only the true outcome matters.",
    ),
    _metric(
        "equalized_odds_ratio",
        "equalized odds ratio",
        "labels",
        "Among people with the same true outcome, one group gets the positive decision only {value} times as "
        "often as another; 1 means equally often. Ratios of small rates exaggerate: read the difference too.",
        "higher",
    ),
    _metric(
        "true_positive_rate_difference",
        "true positive rate difference",
        "labels",
        "Among people who deserve the positive decision, the share that gets it differs by {value} between "
        "the best and the worst served group.",
    ),
    _metric(
        "false_positive_rate_difference",
        "false positive rate difference",
        "labels",
        "Among people who do not deserve the positive decision, the share that gets it all the same differs "
        "by {value} between groups.",
    ),
    _metric(
        "accuracy_gap",
        "accuracy gap",
        "labels",
        "The model is right for one group more often than for another: the shares of right decisions differ by {value}.",
        tasks=CLASSES,
    ),
)
