"""Windows as unions of panes: merged counts as metrics see them, and as the evidence of a verdict keeps them.

A window may span panes that were counted by different parameters. Parts of equal digest merge; the others are `changed`, and only
the metrics that read them cannot be measured. So it is with parts whose sums over the window leave 62 bits: they are `beyond`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from guardian.canonical import digest
from guardian.catalog.layout import layout_of
from guardian.catalog.parameters import Parameters
from guardian.errors import InvalidStateError
from guardian.panes.pane import SUM_MAX, N, Sparse, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from guardian.catalog.layout import Part, Space

EVIDENCE_FORMAT: Final = 1
REFERENCE_FORMAT: Final = 1


@dataclass(slots=True)
class Pane:
    """The counts of one pane of one version, under the parameters that hold there."""

    parameters: Parameters
    inputs: Sparse
    labels: Sparse
    predictions: int = 0
    labelled: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self.recount()

    def recount(self) -> None:
        """Bring the totals, and the greatest amount of any cell, up to date with the vectors."""
        layout = layout_of(self.parameters)
        self.predictions = _rows(self.inputs, layout.inputs.by_name["outcome/"])
        self.labelled = _rows(self.labels, layout.labels.by_name["delay/"])
        self.peak = max(int(np.abs(vector.counts).max(initial=0)) for vector in (self.inputs, self.labels))


class BeyondError(KeyError):
    """A part's sums leave 62 bits in this window, although they do not in any of its panes."""


class ChangedError(KeyError):
    """A part was counted by parameters that cannot be merged."""


@dataclass(frozen=True, slots=True)
class Window:
    """Merged counts of a union of panes, or of a reference.

    Attributes:
        parameters: What the cells mean (of the newest pane).
        predictions: Predictions counted.
        labelled: Predictions with a counted label.
        inputs: Dense vector of the inputs space.
        labels: Dense vector of the labels space.
        changed: Names of parts that could not be merged.
        beyond: Names of parts whose sums are too large.
    """

    parameters: Parameters
    predictions: int
    labelled: int
    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]
    changed: frozenset[str] = frozenset()
    beyond: frozenset[str] = frozenset()

    def part(self, name: str) -> NDArray[np.int64]:
        """Return a part's cells in its shape. Raises KeyError for none such, ChangedError and BeyondError as they say."""
        _check(name, self.changed, self.beyond)
        layout = layout_of(self.parameters)
        space, vector = (layout.inputs, self.inputs) if name in layout.inputs.by_name else (layout.labels, self.labels)
        part = space.by_name[name]
        cells = vector[part.offset : part.offset + part.size].reshape(part.shape)
        cells.flags.writeable = False
        return cells


def window_of(panes: Sequence[Pane], parameters: Parameters) -> Window:
    """Merge panes under `parameters`, those that hold at the window's end."""
    inputs, labels, changed = _merged(panes, parameters, np.int64)
    beyond: frozenset[str] = frozenset()
    if sum(p.peak for p in panes) >= SUM_MAX:  # Rare: one large cell in each pane could meet in the same one.
        layout = layout_of(parameters)
        beyond = _beyond(panes, parameters, (layout.inputs, layout.labels)) - changed
    predictions, labelled = sum(p.predictions for p in panes), sum(p.labelled for p in panes)
    return Window(parameters, predictions, labelled, inputs, labels, changed, beyond)


def _beyond(panes: Sequence[Pane], parameters: Parameters, spaces: tuple[Space, Space]) -> frozenset[str]:
    *sums, _ = _merged(panes, parameters, np.float64)
    return frozenset(
        part.name
        for space, vector in zip(spaces, sums, strict=True)
        for part in space.parts
        if np.abs(vector[part.offset : part.offset + part.size]).max(initial=0) >= SUM_MAX
    )


def _merged(panes: Sequence[Pane], parameters: Parameters, kind: type[N]) -> tuple[NDArray[N], NDArray[N], frozenset[str]]:
    """Return both spaces' sums, and the names of parts that do not merge."""
    layout = layout_of(parameters)
    others = {p.parameters.digest: p.parameters for p in panes if p.parameters.digest != parameters.digest}
    own = [p for p in panes if p.parameters.digest == parameters.digest]
    inputs = total([p.inputs for p in own], layout.inputs.size, kind)
    labels = total([p.labels for p in own], layout.labels.size, kind)
    changed: set[str] = set()
    for name, other in others.items():
        theirs = [p for p in panes if p.parameters.digest == name]
        foreign = layout_of(other)
        changed |= _add(inputs, layout.inputs, [p.inputs for p in theirs], foreign.inputs)
        changed |= _add(labels, layout.labels, [p.labels for p in theirs], foreign.labels)
    return inputs, labels, frozenset(changed)


def _add(into: NDArray[N], space: Space, vectors: list[Sparse], foreign: Space) -> set[str]:
    """Add foreign vectors where parts are of equal digest; return the names of the others."""
    dense = total(vectors, foreign.size, into.dtype.type)
    changed = set()
    for part in space.parts:
        same = foreign.by_name.get(part.name)
        if same is None or same.digest != part.digest:
            changed.add(part.name)
            continue
        into[part.offset : part.offset + part.size] += dense[same.offset : same.offset + same.size]
    return changed


def _rows(vector: Sparse, part: Part) -> int:
    first, last = np.searchsorted(vector.cells, (part.offset, part.offset + part.size))
    return int(vector.counts[first:last].sum())


@dataclass(frozen=True)
class Evidence:
    """What one measurement read of a window: some parts, and how many predictions and labels there were.

    Implements the same protocol as a window; `to_bytes` is what a verdict's evidence digest is of.
    """

    parameters: Parameters
    predictions: int
    labelled: int
    parts: Mapping[str, NDArray[np.int64]]
    changed: frozenset[str] = frozenset()
    beyond: frozenset[str] = frozenset()

    def part(self, name: str) -> NDArray[np.int64]:
        """Return a part's cells in its shape. Raises KeyError for none such, ChangedError and BeyondError as they say."""
        _check(name, self.changed, self.beyond)
        return self.parts[name]

    def to_bytes(self) -> bytes:
        """Return canonical bytes: equal evidence gives equal bytes (integers and names only, keys sorted)."""
        parts = {}
        for name, cells in self.parts.items():
            flat = cells.ravel()
            found = np.flatnonzero(flat)
            parts[name] = {"digest": _part(self.parameters, name).digest, "cells": found.tolist(), "counts": flat[found].tolist()}
        body = {
            "format": EVIDENCE_FORMAT,
            "parameters": self.parameters.digest,
            "predictions": self.predictions,
            "labelled": self.labelled,
            "parts": parts,
            "changed": sorted(self.changed),
            "beyond": sorted(self.beyond),
        }
        return msgspec.json.encode(body, order="sorted")

    @classmethod
    def from_bytes(cls, blob: bytes, parameters: Parameters) -> Evidence:
        """Rebuild evidence counted under `parameters`. Raises InvalidStateError where they are not those it names."""
        body: dict[str, Any] = msgspec.json.decode(blob)
        if body["format"] != EVIDENCE_FORMAT or body["parameters"] != parameters.digest:
            raise InvalidStateError(
                "evidence was counted by other parameters", hint="give the reference whose digest the verdict names"
            )
        parts = {}
        for name, stored in body["parts"].items():
            part = _part(parameters, name)
            cells = np.zeros(part.size, np.int64)
            cells[stored["cells"]] = stored["counts"]
            parts[name] = cells.reshape(part.shape)
            parts[name].flags.writeable = False
        return cls(
            parameters, body["predictions"], body["labelled"], parts, frozenset(body["changed"]), frozenset(body["beyond"])
        )


def _check(name: str, changed: frozenset[str], beyond: frozenset[str]) -> None:
    if name in changed:
        raise ChangedError(name)
    if name in beyond:
        raise BeyondError(name)


def _part(parameters: Parameters, name: str) -> Part:
    layout = layout_of(parameters)
    return layout.inputs.by_name.get(name) or layout.labels.by_name[name]


def evidence_of(window: Window, names: Sequence[str]) -> Evidence:
    """Take out of a window the named parts that its task has; `labelled` is 0 where none of them is about labels.

    A label that arrives then changes the evidence of what reads labels, and nothing else's.
    """
    layout = layout_of(window.parameters)
    known = [n for n in names if n in layout.inputs.by_name or n in layout.labels.by_name]
    changed, beyond = window.changed & frozenset(known), window.beyond & frozenset(known)
    parts = {name: window.part(name) for name in known if name not in changed | beyond}
    labelled = window.labelled if any(name in layout.labels.by_name for name in known) else 0
    return Evidence(window.parameters, window.predictions, labelled, parts, changed, beyond)


@dataclass(frozen=True)
class Reference:
    """A reference: parameters, and the pane that counts its table. Immutable and content-addressed."""

    parameters: Parameters
    inputs: Sparse
    labels: Sparse

    def to_bytes(self) -> bytes:
        """Return canonical bytes; `digest` is of these."""
        body = {
            "format": REFERENCE_FORMAT,
            "parameters": self.parameters.to_json(),
            "inputs": [self.inputs.cells.tolist(), self.inputs.counts.tolist()],
            "labels": [self.labels.cells.tolist(), self.labels.counts.tolist()],
        }
        return msgspec.json.encode(body, order="sorted")

    @property
    def digest(self) -> str:
        """Content address."""
        return digest(self.to_bytes())

    @classmethod
    def from_bytes(cls, blob: bytes) -> Reference:
        """Read `to_bytes` back. Raises InvalidStateError on a format that this code does not know."""
        body = msgspec.json.decode(blob)
        if body["format"] != REFERENCE_FORMAT:
            raise InvalidStateError(f"a reference of format {body['format']}", hint="run the release that wrote it")
        vectors = [Sparse(np.array(body[s][0], np.int64), np.array(body[s][1], np.int64)) for s in ("inputs", "labels")]
        return cls(Parameters.from_json(body["parameters"]), *vectors)

    def window(self) -> Window:
        """Return the reference's counts as metrics see them."""
        return window_of([Pane(self.parameters, self.inputs, self.labels)], self.parameters)
