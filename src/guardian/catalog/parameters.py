"""What counting goes by: the closed set of cells of every column, and the classes, population and segments of a model.

Built once from a reference table, immutable, content-addressed. Nothing here depends on which event came first: every
category that the reference lacks is the one cell `(new)`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Final, Literal

from guardian.canonical import digest_of

Task = Literal["binary_classification", "multiclass_classification", "regression"]

NEW: Final = "(new)"
MISSING: Final = "(missing)"
SCORE_BINS: Final = 100  # Equal-width bins of the score over [0, 1]; AUC from 100 bins is within 0.0002 of exact.
SCORE_CELLS: Final = SCORE_BINS + 1  # The last cell counts rows without a score.
QUANTILE_BINS: Final = 20  # Reference-quantile bins of a numeric column.


def canonical_key(value: str | float | bool) -> str:
    """Return the one key of a category, however a producer writes it; booleans are a type of their own.

    >>> canonical_key(1), canonical_key(1.0), canonical_key("1"), canonical_key(True)
    ('1', '1', '1', 'bool:true')
    """
    if isinstance(value, bool):
        return "bool:true" if value else "bool:false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """A numeric column's cells: its bins, then below range, above range, missing.

    Attributes:
        name: The column.
        edges: Inner bin edges, strictly increasing; bin i is [edges[i - 1], edges[i]).
        low: Least value of the reference; a smaller value is below range.
        high: Greatest value of the reference; a greater value is above range.
    """

    name: str
    edges: tuple[float, ...]
    low: float
    high: float

    @property
    def bins(self) -> int:
        """Number of bins inside the range."""
        return len(self.edges) + 1

    @property
    def cells(self) -> int:
        """Number of cells: bins, below, above, missing."""
        return self.bins + 3


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """A categorical column's cells: the reference's categories in sorted order, then `(new)`, then `(missing)`."""

    name: str
    keys: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Number of cells: categories, new, missing."""
        return len(self.keys) + 2

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each cell."""
        return (*self.keys, NEW, MISSING)


Column = NumericColumn | CategoricalColumn


@dataclass(frozen=True)
class Parameters:
    """Everything that counting one model's events depends on.

    Attributes:
        task: What the model does.
        columns: Features in the model file's order, then protected attributes that are no features.
        classes: Classification: the classes' canonical keys, sorted; for multiclass a cell `(new)` follows them. Binary: exactly
            two, and `positive` is the index of the positive one. Empty for regression.
        positive: Index of the positive class (binary), else -1.
        prediction: Regression: the bins of the prediction (a NumericColumn named "prediction"), else None.
        segments: The declared segments, each a tuple of categorical protected columns; () (everyone) is implied and not listed.
        horizon_panes: How many panes a label may be later than its prediction: the label-delay histogram has one cell a pane and
            one more.
        unit: Regression: the size of one unit of the label; fixed-point sums are in 2^-20 of it.
    """

    task: Task
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    positive: int
    prediction: NumericColumn | None
    segments: tuple[tuple[str, ...], ...]
    horizon_panes: int
    unit: float = 1.0

    @cached_property
    def digest(self) -> str:
        """Content address of these parameters."""
        return digest_of(self.to_json())

    # Caches by parameters are asked for every pane: the digest is kept, where comparing would walk over every edge.
    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Parameters) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def column(self, name: str) -> Column:
        """Return the column called `name`. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def population(self, segment: tuple[str, ...]) -> tuple[CategoricalColumn, ...]:
        """Return the categorical columns whose cells' product makes the groups of `segment`."""
        found = tuple(self.column(name) for name in segment)
        if not all(isinstance(column, CategoricalColumn) for column in found):
            raise KeyError(segment)
        return found  # type: ignore[return-value]  # narrowed by the line above

    def to_json(self) -> dict[str, object]:
        """Return a JSON value from which `from_json` rebuilds equal parameters."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Parameters:
        """Rebuild parameters from `to_json`'s value (or its parsed JSON)."""
        import msgspec

        def column(raw: dict[str, object]) -> Column:
            if "edges" in raw:
                return msgspec.convert(raw, NumericColumn)
            return msgspec.convert(raw, CategoricalColumn)

        prediction = value["prediction"]
        return cls(
            task=value["task"],  # type: ignore[arg-type]
            columns=tuple(column(c) for c in value["columns"]),  # type: ignore[attr-defined]
            classes=tuple(value["classes"]),  # type: ignore[arg-type]
            positive=int(value["positive"]),  # type: ignore[call-overload]
            prediction=None if prediction is None else msgspec.convert(prediction, NumericColumn),
            segments=tuple(tuple(s) for s in value["segments"]),  # type: ignore[attr-defined]
            horizon_panes=int(value["horizon_panes"]),  # type: ignore[call-overload]
            unit=float(value["unit"]),  # type: ignore[arg-type]
        )
