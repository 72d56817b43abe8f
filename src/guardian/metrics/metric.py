"""What the registry says of one metric, without importing anything that computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.catalog.parameters import Task

Reads = Literal["column", "outcome", "labels", "delay"]
Of = Literal["columns", "model", "groups"]
ColumnKind = Literal["numeric", "categorical"]

ALL_TASKS: tuple[Task, ...] = ("binary_classification", "multiclass_classification", "regression")
ALL_KINDS: tuple[ColumnKind, ...] = ("numeric", "categorical")


@dataclass(frozen=True, slots=True)
class Metric:
    """One named metric. Its function is `measure` in the module `guardian.metrics.<name>`.

    Attributes:
        name: `<family>.<what>`; public.
        title: A few words, in lower case but for names; who begins a sentence with it capitalises it.
        unit: What a value counts, e.g. "nats", "share", "panes", "1".
        low: Least possible value.
        high: Greatest possible value.
        of: What one measurement is about: each column or output, the model, or the groups of a segment.
        reads: The kinds of parts it reads of the window; these make its evidence.
        tasks: The tasks it is defined for.
        columns: The kinds of columns it is defined for, where it is about columns; outputs have a kind as well.
        better: Whether greater values are better, worse, or neither.
        reading: What a value means in plain language; `{value}` and other fields of str.format are filled in.
        parameters: Parameters and their defaults.
        needs_reference: Whether it compares with the reference by itself.
        per_class: Whether a multiclass model may be measured class by class (`classes`).
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    of: Of
    reads: tuple[Reads, ...]
    reading: str
    tasks: tuple[Task, ...] = ALL_TASKS
    columns: tuple[ColumnKind, ...] = ALL_KINDS
    better: Literal["higher", "lower", "neither"] = "neither"
    parameters: Mapping[str, float] = field(default_factory=dict)
    needs_reference: bool = False
    per_class: bool = False

    @property
    def family(self) -> str:
        """The family it belongs to: quality, drift, performance or fairness."""
        return self.name.partition(".")[0]

    @property
    def needs_labels(self) -> bool:
        """Whether it waits for the truth (rules then wait for label coverage)."""
        return "labels" in self.reads

    def is_unknown_without_reference(self, task: Task) -> bool:
        """Return whether a model of this task needs a reference for it: to compare with, or to know groups or classes by."""
        by_class = self.needs_labels and task == "multiclass_classification"
        return self.needs_reference or self.of == "groups" or by_class
