"""Every metric by name. Light to import: nothing here computes, and a metric's module is imported when it is first measured."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from guardian.metrics.drift.names import METRICS as DRIFT
from guardian.metrics.fairness.names import METRICS as FAIRNESS
from guardian.metrics.performance.names import METRICS as PERFORMANCE
from guardian.metrics.quality.names import METRICS as QUALITY

if TYPE_CHECKING:
    from guardian.metrics.base import Measure, Subject
    from guardian.metrics.metric import Metric

METHOD: Final = "1"  # Raised when any formula changes: the same method gives the same bytes.

REGISTRY: Final[dict[str, Metric]] = {m.name: m for m in (*QUALITY, *DRIFT, *PERFORMANCE, *FAIRNESS)}


@cache
def measure_of(name: str) -> Measure:
    """Return the function that measures `name`; it lives in `guardian.metrics.<name>`. Raises KeyError."""
    function: Measure = import_module(f"guardian.metrics.{REGISTRY[name].name}").measure
    return function


def parts_read(metric: Metric, subject: Subject) -> tuple[str, ...]:
    """Return the names of the window's parts that a measurement reads, missing ones of the task left to the layout."""
    names: list[str] = []
    segment = subject.by or ""
    for kind in metric.reads:
        match kind:
            case "column":
                names.append(f"column/{subject.column}" if subject.column else "outcome/")
            case "outcome":
                names.append(f"outcome/{segment}")
            case "labels":
                names += [f"labels/{segment}", f"calibration/{segment}", f"sums/{segment}"]
            case "delay":
                names.append("delay/")
    return tuple(names)
