"""What a metric takes and returns: counts of named parts in, a number with its interval out, or the reason there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from guardian.catalog.parameters import Parameters

Z95: Final = 1.959963984540054  # Two-sided 95 % quantile of the standard normal.


class Why(StrEnum):
    """Why there is no number. Public: every one is a reason code of the verdict `unknown`."""

    NO_DATA = "no-data"
    NO_REFERENCE = "no-reference"
    NO_LABELS = "no-labels"
    NO_SCORE = "no-score"
    ONE_CLASS = "one-class"
    GROUPS_TOO_SMALL = "groups-too-small"
    TOO_FEW_ROWS = "too-few-rows"
    IMMATURE_LABELS = "immature-labels"
    PARAMETERS_CHANGED = "parameters-changed"
    NOT_DEFINED = "not-defined"


@dataclass(frozen=True, slots=True)
class Measured:
    """A value, the number of live observations behind it, and what the sample can tell.

    Attributes:
        value: The estimate, in the metric's unit.
        n: Live observations.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        se: Standard error where the method has one (needed by `change`), else None.
        fit: Whether the method's own condition for `satisfied` holds (divergences: every cell expects at least 5 live rows).
        detail: JSON value: which groups stood apart, which were too small, what the method adds.
    """

    value: float
    n: int
    low: float
    high: float
    se: float | None = None
    fit: bool = True
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Undefined:
    """No value, and why. Never NaN, never None, never a convenient 0.0."""

    why: Why
    n: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)


Measurement = Measured | Undefined


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a model a measurement is about; all empty: the model as a whole.

    Attributes:
        column: A feature or protected attribute.
        output: "prediction" or "score".
        by: A segment's columns joined by a comma.
        of_class: One class of a multiclass model.
    """

    column: str | None = None
    output: str | None = None
    by: str | None = None
    of_class: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the object printed as `subject`."""
        pairs = (("column", self.column), ("output", self.output), ("by", self.by), ("class", self.of_class))
        return {name: value for name, value in pairs if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> Subject:
        """Rebuild a subject from `to_json`'s value."""
        return cls(value.get("column"), value.get("output"), value.get("by"), value.get("class"))

    @property
    def key(self) -> str:
        """One text that tells subjects of one rule apart, e.g. `column=AGEP`."""
        return _key(self)


@lru_cache(maxsize=4096)  # Subjects of the rules in use; their keys are asked for again and again.
def _key(subject: Subject) -> str:
    return ",".join(f"{name}={value}" for name, value in subject.to_json().items())


class Counts(Protocol):
    """Merged counts of one window, or of a reference, as metrics see them. Arrays are read-only int64."""

    @property
    def parameters(self) -> Parameters:
        """What the cells mean."""

    @property
    def predictions(self) -> int:
        """Predictions counted."""

    @property
    def labelled(self) -> int:
        """Predictions with a counted label."""

    def part(self, name: str) -> NDArray[np.int64]:
        """Return the cells of a part in its layout's shape (catalog.layout). Raises KeyError where the task has no such part."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a rule adds to a measurement.

    Attributes:
        group_size: Smaller groups (in the metric's own denominator) are named and kept out of the extremes.
        parameters: The metric's own parameters, registry defaults filled in.
    """

    group_size: int = 1
    parameters: Mapping[str, float] = field(default_factory=dict)


class Measure(Protocol):
    """The one function of a metric's module, called `measure`."""

    def __call__(self, live: Counts, reference: Counts | None, subject: Subject, options: Options) -> Measurement:
        """Measure `subject`; Undefined where there is no number."""
