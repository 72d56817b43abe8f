"""Where each part of a pane lies: named blocks of cells in two integer vectors, one of inputs and one of labels.

Inputs are known when a prediction arrives, labels weeks later; they are stored apart so that a late label rewrites little.
Each part has a digest of its own parameters: a metric merges parts of equal digest only.

Inputs:
    column/<name>           (cells of the column)
    outcome/<segment>       classification: (groups, classes, SCORE_CELLS); regression: (groups, prediction cells)
Labels:
    labels/<segment>        binary: (groups, 2 predicted, SCORE_CELLS, 2 true); multiclass: (groups, predicted, true)
    calibration/<segment>   multiclass: (groups, SCORE_CELLS, 2 wrong or right) by the top score
    sums/<segment>          binary: (groups, 2 true, 2): score, squared score; regression: (groups, 6): n, error, absolute error,
                            squared error, label, squared label
    delay/                  (horizon_panes + 1): panes between a prediction and its label

`<segment>` is the columns' names joined by a comma; empty for everyone. Groups are the product of the columns' cells in
row-major order. Error is prediction minus label. All sums but n are fixed point (units.FIXED_POINT) of the declared unit
(squares: of the unit squared).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from guardian.canonical import digest_of
from guardian.catalog.parameters import SCORE_CELLS, CategoricalColumn, Column, Parameters

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Part:
    """A named block of cells; `offset` is its place in its space's vector."""

    name: str
    shape: tuple[int, ...]
    offset: int
    digest: str

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Space:
    """The parts of one vector, in order, without holes."""

    parts: tuple[Part, ...]

    @cached_property
    def by_name(self) -> dict[str, Part]:
        """Parts by name."""
        return {part.name: part for part in self.parts}

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Layout:
    """Both spaces of one model's panes under one set of parameters."""

    inputs: Space
    labels: Space


def segment_name(segment: tuple[str, ...]) -> str:
    """Return how a segment is written in part names and subjects."""
    return ",".join(segment)


@lru_cache(maxsize=64)  # One entry a set of parameters in use; older ones are built anew.
def layout_of(parameters: Parameters) -> Layout:
    """Return where each part lies under `parameters`; equal parameters give the same layout."""
    return Layout(inputs=_space(_input_parts(parameters)), labels=_space(_label_parts(parameters)))


def _space(parts: Iterator[tuple[str, tuple[int, ...], object]]) -> Space:
    out, offset = [], 0
    for name, shape, identity in parts:
        part = Part(name, shape, offset, digest_of([name, list(shape), identity]))
        out.append(part)
        offset += part.size
    return Space(tuple(out))


def _identity(column: Column) -> list[object]:
    if isinstance(column, CategoricalColumn):
        return list(column.keys)
    return [list(column.edges), column.low, column.high]


def _groups(parameters: Parameters) -> Iterator[tuple[str, int, object]]:
    yield "", 1, None
    for segment in parameters.segments:
        columns = parameters.population(segment)
        yield segment_name(segment), math.prod(c.cells for c in columns), [_identity(c) for c in columns]


def _input_parts(parameters: Parameters) -> Iterator[tuple[str, tuple[int, ...], object]]:
    for column in parameters.columns:
        yield f"column/{column.name}", (column.cells,), _identity(column)
    output, shape = _output(parameters)
    for name, groups, identity in _groups(parameters):
        yield f"outcome/{name}", (groups, *shape), [identity, output]


def _output(parameters: Parameters) -> tuple[object, tuple[int, ...]]:
    if parameters.prediction is not None:
        return _identity(parameters.prediction), (parameters.prediction.cells,)
    extra = 1 if parameters.task == "multiclass_classification" else 0
    return list(parameters.classes), (len(parameters.classes) + extra, SCORE_CELLS)


def _label_parts(parameters: Parameters) -> Iterator[tuple[str, tuple[int, ...], object]]:
    output, _ = _output(parameters)
    for name, groups, who in _groups(parameters):
        identity = [who, output, parameters.positive, parameters.unit]
        match parameters.task:
            case "binary_classification":
                yield f"labels/{name}", (groups, 2, SCORE_CELLS, 2), identity
                yield f"sums/{name}", (groups, 2, 2), identity
            case "multiclass_classification":
                classes = len(parameters.classes) + 1
                yield f"labels/{name}", (groups, classes, classes), identity
                yield f"calibration/{name}", (groups, SCORE_CELLS, 2), identity
            case "regression":
                yield f"sums/{name}", (groups, 6), identity
    yield "delay/", (parameters.horizon_panes + 1,), None
