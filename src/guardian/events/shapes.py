"""The types that events decode into, built from the model files: one union over every model and both kinds of event.

msgspec finds an event's kind by its `type` and its model by `data.model`, wherever in the object they stand, so an event is
read once, into exactly the fields that are counted. Structs are no garbage to collect (gc=False): they hold no cycles.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from guardian.errors import UsageError
from guardian.events.envelope import ID_CHARS_MAX, LABEL_TYPE, PREDICTION_TYPE, SPECVERSION
from guardian.events.rows import Scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from guardian.catalog.model_file import ModelFile
    from guardian.catalog.parameters import Task

_MISSING: Final = float("nan")
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARS_MAX)]
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_CATALOGS_KEPT: Final = 16  # Catalogs whose types are kept built: the current one and, around activations, its neighbours.


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a model file decoding depends on; equal layouts share their types."""

    model: str
    task: Task
    numeric: frozenset[str]
    protected: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, model: str, file: ModelFile) -> Layout:
        """Return the layout of a model's events."""
        spec = file.spec
        return cls(model, spec.task, frozenset(spec.numeric), spec.protected, spec.column_names)


@dataclass(frozen=True, slots=True)
class Shape:
    """How to take the decoded events of one model and kind apart.

    The fields of a prediction's features are those of `layout.columns`, the fields of its attributes those of `layout.protected`.

    Attributes:
        layout: What it was built from.
        kind: The event type, PREDICTION_TYPE or LABEL_TYPE.
        no_attributes: Stands in for the attributes of a prediction that has none.
    """

    layout: Layout
    kind: str
    no_attributes: Any


@dataclass(frozen=True, slots=True)
class Shapes:
    """Everything that decoding needs to know of a catalog.

    Attributes:
        decode: One event's bytes to its struct; raises msgspec.DecodeError or UnicodeDecodeError.
        by_data: Shape by the type of an event's data.
        models: Names of the models.
    """

    decode: Callable[[bytes], Any]
    by_data: Mapping[type, Shape]
    models: frozenset[str]


def shapes_of(models: Mapping[str, ModelFile]) -> Shapes:
    """Return the types for the events of `models`, by name. Raises UsageError on a name that JSON text cannot hold bare."""
    return _build(tuple(Layout.of(name, file) for name, file in models.items()))


@lru_cache(maxsize=_CATALOGS_KEPT)
def _build(layouts: tuple[Layout, ...]) -> Shapes:
    if not layouts:
        return Shapes(_no_model, {}, frozenset())
    predictions = dict(map(_prediction, layouts))
    labels = dict(map(_label, layouts))
    events = _event(PREDICTION_TYPE, predictions) | _event(LABEL_TYPE, labels)
    names = frozenset(layout.model for layout in layouts)
    return Shapes(msgspec.json.Decoder(events).decode, predictions | labels, names)


def _no_model(_: bytes) -> Any:
    raise msgspec.ValidationError("Invalid value - at `$.data.model`")


def _event(kind: str, data: Iterable[type]) -> Any:
    fields = [
        ("specversion", Literal[SPECVERSION]),
        ("id", _Id),
        ("source", str),
        ("time", str),
        ("data", reduce(operator.or_, data)),
    ]
    return msgspec.defstruct("Event", fields, tag_field="type", tag=kind, gc=False)


def _value(layout: Layout) -> Any:
    return float if layout.task == "regression" else Scalar


def _label(layout: Layout) -> tuple[type, Shape]:
    fields = [("prediction_id", _Id), ("label", _value(layout))]
    kind = msgspec.defstruct("Label", fields, tag_field="model", tag=layout.model, gc=False)
    return kind, Shape(layout, LABEL_TYPE, None)


def _prediction(layout: Layout) -> tuple[type, Shape]:
    features = _columns("Features", layout.columns, layout.numeric)
    attributes = _columns("Attributes", layout.protected, frozenset())
    score = float if layout.task == "regression" else _Share
    fields: list[Any] = [
        ("features", features),
        ("prediction", _value(layout)),
        ("version", str | None, None),
        ("score", score | None, _MISSING),
        ("attributes", attributes | None, None),
    ]
    kind = msgspec.defstruct("Prediction", fields, tag_field="model", tag=layout.model, gc=False)
    return kind, Shape(layout, PREDICTION_TYPE, attributes())


def _columns(kind: str, names: tuple[str, ...], numeric: frozenset[str]) -> Any:
    """Build a struct with one optional field a column; fields are numbered, because a column may have any name."""
    fields: list[tuple[str, Any, Any]] = [
        (f"c{i}", float | None, _MISSING) if name in numeric else (f"c{i}", Scalar | None, None) for i, name in enumerate(names)
    ]
    rename = {field[0]: name for field, name in zip(fields, names, strict=True)}
    try:
        return msgspec.defstruct(kind, fields, rename=rename, gc=False)
    except ValueError as error:
        hint = "rename the column: no quotes, backslashes or control characters"
        raise UsageError(str(error), hint=hint) from error
