"""`kind: Model`: which model is watched, and how its events are counted. The shape of the file, as frozen types.

Loading (lines, columns, every mistake at once) is catalog.load; this module holds what a valid file means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, model_validator

from guardian.catalog.parameters import Task, canonical_key
from guardian.files.document import choice_hint
from guardian.files.validate import Conflict, refuse
from guardian.units import DAY_MS, HOUR_MS, MINUTE_MS, format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?")
EVERY_VERSION: Final = "*"  # The version that all events count under when a model file names no champion.
PANE_MS_MIN: Final = MINUTE_MS  # Pane ordinals must fit 32 bits until the year 10000.
FEATURES_MAX: Final = 2_000
SEGMENTS_MAX: Final = 64
INPUTS_MAX: Final = 10_000  # Of a server, watched or not.
CLASSES_MAX: Final = 1_000
PANES_AHEAD_MAX: Final = 10_000  # Panes in horizon or window: bounds the label-delay histogram and every window merge.


def _duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise ValueError("must be a duration such as 30d, 6h or 1h30m") from error
    if info.mode == "json":  # What people write is text: `window: 30` would be read as 30 milliseconds.
        raise ValueError("must be a duration such as 30d, 6h or 1h30m")
    return value


DurationMs = Annotated[
    int,
    BeforeValidator(_duration, json_schema_input_type=str),
    PlainSerializer(format_duration),
    Field(ge=0, description="A duration such as 30d, 6h or 1h30m."),
]


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Metadata(Strict):
    """Who and what a file is about."""

    name: str = Field(description="Lower-case letters, digits, - _ . ; at most 64.", pattern=f"^{NAME.pattern}$")
    owner: str = Field(default="", description="Who answers for it, usually an address.", max_length=256)
    labels: dict[str, str] = Field(default_factory=dict, description="Free labels, copied into alerts.")
    description: str = Field(default="", description="What a newcomer should know.", max_length=4096)


class Feature(Strict):
    """One input of the model."""

    type: Literal["numeric", "categorical"] = Field(description="How its values are counted.")
    pii: bool = Field(default=False, description="Personal: of the model's dead letters digest and size are kept, no sample.")


class Labels(Strict):
    """When the truth may arrive."""

    horizon: DurationMs = Field(
        description="A label counts if it became known less than this after the end of its prediction's pane."
    )
    remember: DurationMs = Field(
        default=0,
        description="How much longer an id is recognised, so that a label beyond the horizon is named as such.",
    )


class Columns(Strict):
    """Which columns of a table hold what."""

    id: str = Field(default="id", description="The prediction's id.")
    time: str = Field(default="time", description="When it happened, or when the label became known.")
    prediction: str = Field(default="prediction", description="What the model said.")
    score: str | None = Field(default=None, description="Probability of the positive (binary) or predicted (multiclass) class.")
    label: str = Field(default="label", description="The truth.")
    version: str | None = Field(default=None, description="The model's version; without it the champion.")


class ReferenceColumns(Strict):
    """Columns of the reference table where they differ from spec.columns."""

    prediction: str | None = Field(default=None, description="What the model said.")
    score: str | None = Field(default=None, description="The score.")
    label: str | None = Field(default=None, description="The truth.")


class Reference(Strict):
    """The table that a model's live behaviour is compared with."""

    uri: str = Field(description="Path of a Parquet, CSV or JSON-lines file, relative to the home directory.")
    columns: ReferenceColumns = Field(default_factory=ReferenceColumns, description="Overrides spec.columns.")


class Outputs(Strict):
    """Which of a server's outputs say what."""

    prediction: str | None = Field(
        default=None, description="The output that is the prediction; default: predict, prediction, or the only one."
    )
    score: str | None = Field(default=None, description="The output that is the score; default: predict_proba or score.")
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Binary: without a prediction, the least score that means the positive label."
    )


class Serving(Strict):
    """How a server's requests and responses are read as predictions."""

    service: str | None = Field(
        default=None,
        description="The inference service, or else the server's model; default: the name of this file.",
        min_length=1,
        max_length=253,
    )
    inputs: tuple[str, ...] = Field(
        default=(),
        description="What the columns of a 2-d input are, in order; default: the features.",
        max_length=INPUTS_MAX,
    )
    outputs: Outputs = Field(default_factory=Outputs, description="Which of the server's outputs say what.")
    classes: tuple[str | int | bool, ...] = Field(
        default=(),
        description="What the columns of the score are, in order; where all are text, a number in the prediction is an index.",
        max_length=CLASSES_MAX,
    )


class ModelSpec(Strict):
    """How one model is counted."""

    task: Task = Field(description="What the model does.")
    positive_label: str | int | bool | None = Field(default=None, description="Binary: the label that counts as positive.")
    champion: str | None = Field(default=None, description="The version in charge; absent: all events count under version *.")
    features: dict[str, Feature] = Field(
        description="The inputs that are watched; others are ignored.", min_length=1, max_length=FEATURES_MAX
    )
    protected: tuple[str, ...] = Field(
        default=(), description="Attributes of people, read from data.attributes, else data.features."
    )
    segments: tuple[tuple[str, ...], ...] = Field(
        default=(),
        description="Slices of the population, each a list of protected attributes.",
        max_length=SEGMENTS_MAX,
    )
    pane: DurationMs = Field(default=DAY_MS, description="The smallest span counted by, aligned to the UTC epoch.")
    allowed_lateness: DurationMs = Field(
        default=6 * HOUR_MS, description="How long after a window's end late events are waited for."
    )
    clock: Literal["live", "replay"] = Field(
        default="live", description="live: silence moves the clock on; replay: only events do."
    )
    labels: Labels | None = Field(default=None, description="Absent: the model never gets labels.")
    retain: DurationMs = Field(default=7 * DAY_MS, description="Without labels: how long copies of an event are recognised.")
    reference: Reference | None = Field(default=None, description="Absent: drift and changes are unknown.")
    columns: Columns = Field(default_factory=Columns, description="Names in tables given to emit and reference build.")
    serving: Serving | None = Field(
        default=None,
        description="How logged requests and responses of a server are read; needed only where they leave it open.",
        exclude_if=lambda value: value is None,  # Files that do not use it keep their digest.
    )
    unit: float = Field(
        default=1.0,
        gt=0,
        description="Regression: the size of one unit of the label, e.g. 1000 for thousands.",
    )
    future_skew: DurationMs = Field(default=5 * MINUTE_MS, description="How far ahead of its receipt an event may be.")
    idle_after: DurationMs | None = Field(
        default=None, description="Silence after which a live clock moves on; default allowed_lateness."
    )
    retire_after: DurationMs = Field(default=30 * DAY_MS, description="A version without traffic for so long closes its alerts.")

    @property
    def horizon_ms(self) -> int:
        """How long after a pane's end its events still matter: the label horizon, or `retain` without labels."""
        return self.labels.horizon if self.labels else self.retain

    @property
    def remember_ms(self) -> int:
        """How much longer than the horizon an id is recognised."""
        return self.labels.remember if self.labels else 0

    @property
    def idle_after_ms(self) -> int:
        """Silence after which a live clock moves on."""
        return self.allowed_lateness if self.idle_after is None else self.idle_after

    @property
    def horizon_panes(self) -> int:
        """Panes a label may be later than its prediction."""
        return -(-self.horizon_ms // self.pane)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of numeric features in file order."""
        return tuple(name for name, feature in self.features.items() if feature.type == "numeric")

    @property
    def is_personal(self) -> bool:
        """Whether an event may hold what must not be copied: some feature is `pii`."""
        return any(feature.pii for feature in self.features.values())

    @property
    def attributes(self) -> tuple[str, ...]:
        """Protected attributes that are not features."""
        return tuple(name for name in self.protected if name not in self.features)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column counted: features in file order, then the other protected attributes."""
        return (*self.features, *self.attributes)

    @property
    def reference_columns(self) -> Columns:
        """spec.columns with the reference's own names over them."""
        own = self.reference.columns.model_dump(exclude_none=True) if self.reference else {}
        return self.columns.model_copy(update=own)

    @property
    def served(self) -> Serving:
        """spec.serving; where it names no inputs, they are the features in file order."""
        serving = self.serving or Serving()
        return serving if serving.inputs else serving.model_copy(update={"inputs": tuple(self.features)})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = [*self._conflicts(), *self._protected_conflicts(), *self._segment_conflicts(), *self._serving_conflicts()]
        refuse("ModelSpec", found)
        return self

    def _conflicts(self) -> Iterator[Conflict]:
        """Yield what is wrong between panes, horizon and task."""
        if self.pane < PANE_MS_MIN:
            yield Conflict(("pane",), "a pane must be at least 1m", "1d suits most models")
        elif self.horizon_panes > PANES_AHEAD_MAX:
            path: tuple[str, ...] = ("labels", "horizon") if self.labels else ("retain",)
            longest = format_duration(PANES_AHEAD_MAX * self.pane)
            yield Conflict(path, f"must be at most {PANES_AHEAD_MAX} panes", f"at most {longest}, or a longer pane")
        if self.task == "binary_classification" and self.positive_label is None:
            yield Conflict(
                ("task",),
                "a binary_classification model needs positive_label",
                "add positive_label: 1, or whatever counts as positive",
            )
        if self.task != "binary_classification" and self.positive_label is not None:
            yield Conflict(("positive_label",), f"a {self.task} model has no positive_label", "remove it")

    def _protected_conflicts(self) -> Iterator[Conflict]:
        """Yield protected attributes that cannot make groups."""
        for i, name in enumerate(self.protected):
            if name in self.features and self.features[name].type != "categorical":
                hint = "make the feature categorical, or send bands of it as an attribute of another name"
                yield Conflict(("protected", i), f"{name} is a numeric feature and makes no groups", hint)
            if name in self.protected[:i]:
                yield Conflict(("protected", i), f"{name} is named twice", "keep one")

    def _segment_conflicts(self) -> Iterator[Conflict]:
        """Yield segments that are empty, repeated, or not made of protected attributes."""
        for i, segment in enumerate(self.segments):
            if not segment:
                yield Conflict(("segments", i), "a segment needs an attribute", "remove it: everyone is always counted")
            elif segment in self.segments[:i]:
                yield Conflict(("segments", i), "this segment is there twice", "keep one")
            for j, name in enumerate(segment):
                if name not in self.protected:
                    what = f"{name} is not a protected attribute"
                    yield Conflict(("segments", i, j), what, choice_hint(name, self.protected))
                elif name in segment[:j]:
                    yield Conflict(("segments", i, j), f"{name} is named twice in one segment", "keep one")

    def _serving_conflicts(self) -> Iterator[Conflict]:
        """Yield what is wrong between spec.serving and the rest."""
        serving = self.serving or Serving()
        for i, name in enumerate(serving.inputs):
            if name in serving.inputs[:i]:
                yield Conflict(("serving", "inputs", i), f"{name} is named twice", "keep one")
        for name in self.features if serving.inputs else ():
            if name not in serving.inputs:
                hint = "name it where its column stands, or do not watch it"
                yield Conflict(("serving", "inputs"), f"the feature {name} is not among the inputs", hint)
        outputs = serving.outputs
        if outputs.prediction is not None and outputs.prediction == outputs.score:
            hint = "name it as the score alone: the prediction then follows from it"
            yield Conflict(("serving", "outputs", "score"), "one output cannot be both prediction and score", hint)
        if outputs.threshold is not None and (self.task != "binary_classification" or not serving.classes):
            hint = "list the two classes, or remove it" if self.task == "binary_classification" else "remove it"
            yield Conflict(("serving", "outputs", "threshold"), "a threshold chooses between the classes of a binary model", hint)
        if serving.classes:
            yield from self._class_conflicts([canonical_key(value) for value in serving.classes])

    def _class_conflicts(self, keys: list[str]) -> Iterator[Conflict]:
        """Yield what is wrong with spec.serving.classes."""
        path = ("serving", "classes")
        if self.task == "regression":
            yield Conflict(path, "a regression model has no classes", "remove them")
            return
        for i, key in enumerate(keys):
            if key in keys[:i]:
                yield Conflict((*path, i), f"{key} is named twice", "keep one")
        if self.task == "multiclass_classification":
            return
        if len(keys) != 2:
            yield Conflict(
                path, "a binary_classification model has two classes", "list both, in the order of the score's columns"
            )
        elif self.positive_label is not None and canonical_key(self.positive_label) not in keys:
            yield Conflict(path, "positive_label is not among the classes", choice_hint(self.positive_label, keys))


class ModelFile(Strict):
    """A whole `kind: Model` document."""

    apiVersion: Literal["guardian/v1alpha1"] = Field(description="Version of this format.")  # noqa: N815 - the file's own key
    kind: Literal["Model"] = Field(description="What this document is.")
    metadata: Metadata = Field(description="Who and what this file is about.")
    spec: ModelSpec = Field(description="How the model is counted.")

    @property
    def name(self) -> str:
        """The model's name."""
        return self.metadata.name

    def counted_version(self, version: str | None) -> str:
        """Return the version that an event naming `version` counts under."""
        if self.spec.champion is None:
            return EVERY_VERSION
        return version or self.spec.champion

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON value of the file's meaning; its digest is the model file's digest."""
        return self.model_dump(mode="json")
