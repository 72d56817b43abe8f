"""A batch of decoded events, coded: for each model whole columns of cells, in log order.

Takes parts and the timelines of the models. Gives coded batches and dead letters. A row's code depends on the row and on the
epoch of its pane alone, so how events were batched cannot show.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from guardian.events.dead_letter import Problem, bury
from guardian.events.reasons import Reason
from guardian.events.rows import Categories, LabelRows, PredictionRows
from guardian.panes.coding import NO_CLASS, VALUE_UNITS_MAX, class_hashes, class_indexes, coding_of
from guardian.panes.counting import Cells, code_rows, regression_labels
from guardian.panes.rows import HASH_SHIFT, Labels, Predictions
from guardian.pipeline.state import VERSIONS_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from guardian.catalog.model_file import ModelFile
    from guardian.catalog.parameters import Parameters
    from guardian.events.dead_letter import DeadLetter
    from guardian.events.parts import Part
    from guardian.events.placement import Placement
    from guardian.pipeline.epochs import Timeline


@dataclass(frozen=True, slots=True)
class Block:
    """Predictions coded under one epoch: their row numbers in the batch, ascending, and their cells."""

    parameters: Parameters
    rows: NDArray[np.int64]
    cells: Cells


@dataclass(frozen=True, slots=True)
class ModelBatch:
    """One model's events of a batch, coded.

    Attributes:
        predictions: Coded predictions in log order; `versions` index into `versions`.
        times: (n,) their event times.
        blocks: The same rows by epoch, with the cell of every column.
        labels: Coded labels in log order.
        versions: Names of versions.
    """

    predictions: Predictions
    times: NDArray[np.int64]
    blocks: tuple[Block, ...]
    labels: Labels
    versions: tuple[str, ...]


@dataclass
class _Gathered:
    """Rows of one model and epoch, chunk by chunk: arrays only, so that the decoded objects die young and in the cache.

    Attributes:
        rows: By field of PredictionRows; classes are coded.
        columns: By column; categories are coded.
    """

    rows: defaultdict[str, list[NDArray[Any]]] = field(default_factory=lambda: defaultdict(list))
    columns: defaultdict[str, list[NDArray[Any]]] = field(default_factory=lambda: defaultdict(list))


def code_batch(
    parts: Sequence[Part],
    timelines: Mapping[str, Timeline],
    known: Mapping[str, Collection[str]],
    placement: Placement | None = None,
) -> tuple[dict[str, ModelBatch], list[DeadLetter]]:
    """Decode and code the events of one step; what does not fit becomes a dead letter, in log order.

    Args:
        parts: What came, in log order; positions run through all parts without a gap.
        timelines: Which parameters hold when, by model.
        known: The versions that each model has already; further ones are admitted up to VERSIONS_MAX.
        placement: Which ids may be in this partition; None: all.

    Returns each model's events, and dead letters whose `offset` is their position in the step: the engine knows the log.
    """
    letters: list[DeadLetter] = []
    coders = {name: _ModelCoder(timeline, known.get(name, ())) for name, timeline in timelines.items()}
    models = {name: timeline.reading for name, timeline in timelines.items()}
    for item in chain.from_iterable(part.decode(models, placement) for part in parts):
        match item:
            case PredictionRows():
                coders[item.model].take_predictions(item)
            case LabelRows():
                coders[item.model].label_rows.append(item)
            case letter:
                letters.append(letter)
    batches = {}
    for name, coder in coders.items():
        if coder.empty:
            continue
        batches[name] = coder.batch()
        model = coder.timeline.reading  # What was personal stays so: events go on to say it.
        letters += [bury(_event(parts, at, models), at, problem, model) for at, problem in coder.problems]
    return batches, sorted(letters, key=lambda letter: letter.offset)


def _event(parts: Sequence[Part], position: int, models: Mapping[str, ModelFile]) -> bytes:
    return parts[bisect_right(parts, position, key=lambda part: part.first) - 1].event(position, models)


class _ModelCoder:
    """Collects one model's decoded chunks and codes them as whole columns."""

    def __init__(self, timeline: Timeline, known: Collection[str]) -> None:
        self.timeline = timeline
        self.known = known
        self.pane_ms = timeline.latest.model.spec.pane
        self.gathered: dict[int, _Gathered] = defaultdict(_Gathered)
        self.label_rows: list[LabelRows] = []
        self.names: dict[str, int] = {}
        self.problems: list[tuple[int, Problem]] = []

    @property
    def empty(self) -> bool:
        """Whether the batch has nothing of this model."""
        return not self.gathered and not self.label_rows

    def take_predictions(self, rows: PredictionRows) -> None:
        """Code the categories of a chunk at once, so that its objects can die; keep the numbers for later."""
        rows = self._admitted(rows)
        if not len(rows.positions):
            return
        starts = rows.times // self.pane_ms * self.pane_ms
        if len(self.timeline.epochs) == 1 or self.timeline.index(int(starts.min())) == self.timeline.index(int(starts.max())):
            self._gather(self.timeline.index(int(starts[0])), rows)
            return
        epochs = np.array([self.timeline.index(int(start)) for start in starts])
        for epoch in np.unique(epochs).tolist():
            self._gather(epoch, _some(rows, np.flatnonzero(epochs == epoch)))

    def _gather(self, epoch: int, rows: PredictionRows) -> None:
        into, held = self.gathered[epoch], self.timeline.epochs[epoch]
        coding, n = coding_of(held.parameters), len(rows.positions)
        for column in held.parameters.columns:
            raw = rows.columns.get(column.name)
            coder = coding.columns.get(column.name)
            if coder is None:
                cells = np.full(n, np.nan) if raw is None else np.asarray(raw, np.float64)
            else:
                cells = coder.code([None] * n if raw is None else raw)
            into.columns[column.name].append(cells)
        for name in ("positions", "ids", "times", "scores"):
            into.rows[name].append(getattr(rows, name))
        into.rows["versions"].append(self._versions(held.model.counted_version, rows.versions))
        said = rows.predictions
        into.rows["predictions"].append(coding.classes.code(said) if coding.classes else np.array(said, np.float64))

    def _admitted(self, rows: PredictionRows) -> PredictionRows:
        """Refuse what would bring more versions than a model may have."""
        counted = self.timeline.latest.model.counted_version
        new = [v for v in dict.fromkeys(map(counted, _distinct(rows.versions))) if v not in self.known and v not in self.names]
        room = VERSIONS_MAX - len(self.known) - sum(v not in self.known for v in self.names)
        if len(new) <= room:
            return rows
        refused = set(new[max(room, 0) :])
        versions = rows.versions.to_list() if isinstance(rows.versions, Categories) else rows.versions
        bad = np.fromiter((counted(v) in refused for v in versions), np.bool_, len(versions))
        name = self.timeline.latest.model.name
        problem = Problem(Reason.TOO_MANY_VERSIONS, "$.data.version", f"more than {VERSIONS_MAX} versions of one model", name)
        self.problems += [(int(position), problem) for position in rows.positions[bad]]
        return _some(rows, np.flatnonzero(~bad))

    def _versions(self, counted: Any, versions: list[str | None] | Categories) -> NDArray[np.int64]:
        known = {raw: self.names.setdefault(counted(raw), len(self.names)) for raw in _distinct(versions)}
        if len(known) == 1:
            return np.full(len(versions), next(iter(known.values())))
        if isinstance(versions, Categories):
            return np.array([known.get(raw, 0) for raw in versions.values]).take(versions.indexes)
        return np.fromiter(map(known.__getitem__, versions), np.int64, len(versions))

    def batch(self) -> ModelBatch:
        """Return everything collected, coded and in log order."""
        parts = [self._code(epoch, gathered) for epoch, gathered in sorted(self.gathered.items())]
        predictions = _concatenated(Predictions, [p for p, _, _ in parts])
        times = np.concatenate([np.zeros(0, np.int64), *(t for _, t, _ in parts)])
        order = np.argsort(predictions.positions, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        blocks, first = [], 0
        for p, _, (parameters, cells) in parts:
            blocks.append(Block(parameters, place[first : first + len(p.ids)], cells))
            first += len(p.ids)
        return ModelBatch(predictions.take(order), times[order], tuple(blocks), self._labels(), tuple(self.names))

    def _code(self, epoch: int, gathered: _Gathered) -> tuple[Predictions, NDArray[np.int64], tuple[Parameters, Cells]]:
        parameters = self.timeline.epochs[epoch].parameters
        rows = {name: np.concatenate(arrays) for name, arrays in gathered.rows.items()}
        columns = {name: np.concatenate(arrays) for name, arrays in gathered.columns.items()}
        cells = code_rows(parameters, columns, rows["predictions"], rows["scores"])
        positions, times, versions, ids = (rows[name] for name in ("positions", "times", "versions", "ids"))
        if cells.refused.any():
            self._refuse(positions[cells.refused], "$.data.prediction", parameters)
            keep = ~cells.refused
            positions, times, versions, ids, cells = positions[keep], times[keep], versions[keep], ids[keep], cells.take(keep)
        panes = times // self.pane_ms
        coded = Predictions(positions, ids, versions, panes, cells.location_cells(parameters), cells.values)
        return coded, times, (parameters, cells)

    def _labels(self) -> Labels:
        rows = self.label_rows
        if not rows:
            return _no_labels()
        positions = np.concatenate([chunk.positions for chunk in rows])
        if self.timeline.latest.model.spec.labels is None:
            name = self.timeline.latest.model.name
            problem = Problem(Reason.LABELS_NOT_DECLARED, "$.data.label", "the model file declares no spec.labels", name)
            self.problems += [(int(position), problem) for position in positions]
            return _no_labels()
        coded = [self._label_values(chunk.labels) for chunk in rows]
        values, refused = (np.concatenate(arrays) for arrays in zip(*coded, strict=True))
        hashes = (np.concatenate([chunk.event_ids for chunk in rows]) >> np.uint64(HASH_SHIFT)).astype(np.int64)
        labels = Labels(
            positions,
            np.concatenate([chunk.ids for chunk in rows]),
            np.concatenate([chunk.times for chunk in rows]),
            hashes,
            values,
        )
        if refused.any():
            self._refuse(positions[refused], "$.data.label", self.timeline.latest.parameters)
            labels = labels.take(~refused)
        return labels.take(np.argsort(labels.positions, kind="stable"))

    def _label_values(self, raw: Sequence[Any] | Categories | NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        parameters = self.timeline.latest.parameters
        if parameters.task == "regression":
            values = np.asarray(raw, np.float64)
            bad = np.abs(values) > VALUE_UNITS_MAX * parameters.unit
            return regression_labels(parameters, np.where(bad, 0.0, values)), bad
        hashes = class_hashes(raw)
        return hashes, class_indexes(parameters, hashes) == NO_CLASS

    def _refuse(self, positions: NDArray[np.int64], place: str, parameters: Parameters) -> None:
        name = self.timeline.latest.model.name
        if parameters.task == "regression":
            limit = VALUE_UNITS_MAX * parameters.unit
            problem = Problem(Reason.VALUE_OUT_OF_RANGE, place, f"must lie within +-{limit:g}; declare a larger unit", name)
        else:
            allowed = ", ".join(parameters.classes[:20])
            problem = Problem(Reason.NOT_A_CLASS, place, f"must be one of the reference's classes: {allowed}", name)
        self.problems += [(int(position), problem) for position in positions]


def _no_labels() -> Labels:
    nothing = np.zeros(0, np.int64)
    return Labels(nothing, nothing.astype(np.uint64), nothing, nothing, nothing)


def _distinct(values: Sequence[Any] | Categories) -> list[Any]:
    """Return distinct values, in the order in which they come first."""
    return values.distinct() if isinstance(values, Categories) else list(dict.fromkeys(values))


def _some(rows: PredictionRows, which: NDArray[np.int64]) -> PredictionRows:
    picked = which.tolist()

    def some(values: Any) -> Any:
        if isinstance(values, Categories):
            return values.take(which)
        return values[which] if isinstance(values, np.ndarray) else [values[i] for i in picked]

    return PredictionRows(
        rows.model,
        rows.positions[which],
        rows.ids[which],
        rows.times[which],
        some(rows.versions),
        some(rows.predictions),
        rows.scores[which],
        {name: some(values) for name, values in rows.columns.items()},
    )


def _concatenated(kind: type[Predictions], parts: list[Predictions]) -> Predictions:
    if not parts:
        nothing = np.zeros(0, np.int64)
        return kind(nothing, nothing.astype(np.uint64), nothing, nothing, nothing, nothing)
    return kind(*(np.concatenate([getattr(p, name) for p in parts]) for name in kind.__dataclass_fields__))
