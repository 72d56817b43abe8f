"""Which files hold when, as the store says it: timelines from activation records, and what a changed file activates.

An activation is a positioned record. It raises the partition's catalog number, so that a step counted under the older files is
refused and counted again. Model files, policies and references are stored by their digest: what a verdict names can be read back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from guardian.canonical import canonical, digest, short_id
from guardian.catalog.model_file import ModelFile
from guardian.effects import Artifact, Effects, PositionedWrite, Record
from guardian.panes.windows import Reference
from guardian.pipeline.epochs import ALWAYS, Epoch, Timeline
from guardian.policies.model import PolicyFile
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.engine.ports import Partition, Store
    from guardian.policies.load import PolicySet

ACTIVATION = "activation"


class References(Protocol):
    """Where references come from: tables beside the model files."""

    def source(self, model: ModelFile) -> str | None:
        """Return a digest of the table that a model file names; None where it names none."""

    def build(self, model: ModelFile) -> Reference:
        """Fold that table into a reference."""


@dataclass(frozen=True, slots=True)
class Held:
    """One model's timeline, and the table its newest reference was built from.

    A model whose file is gone is not watched; its timeline stays, because its counts were made by it and it may come back.
    """

    timeline: Timeline
    source: str | None
    watched: bool = True


def load_catalog(store: Store, partition: Partition) -> dict[str, Held]:
    """Return the timeline of every model that is or was watched, from the activation records."""
    held: dict[str, Held] = {}
    for record in store.positioned(partition, kind=ACTIVATION):
        body = record.body
        name = body["model"]
        if body["digests"] is None:
            held[name] = replace(held[name], watched=False)
            continue
        epoch = _epoch(store, body)
        before = held.get(name)
        timeline = before.timeline.with_epoch(epoch) if before else Timeline((epoch,))
        held[name] = Held(timeline, body["source"])
    return held


def _epoch(store: Store, body: Mapping[str, Any]) -> Epoch:
    digests = body["digests"]
    model = ModelFile.model_validate_json(store.artifact(digests["model"]))
    reference = Reference.from_bytes(store.artifact(digests["reference"])) if digests["reference"] else None
    policies = {name: PolicyFile.model_validate_json(store.artifact(d)) for name, d in digests["policies"].items()}
    return Epoch(body["effective_from"], model, reference, policies)


def changes(
    files: PolicySet, held: Mapping[str, Held], clocks: Mapping[str, int | None], references: References, at: Mapping[str, Any]
) -> Effects:
    """Return what activates the files that differ from what is held; nothing where none does.

    Args:
        files: The valid set of files.
        held: What holds now.
        clocks: Each model's clock: a change takes effect at the first pane start after it.
        references: Where references come from.
        at: The position as audit records say it: `offset` of the one log, or `offsets` by partition. The positioned records
            returned apply before the event at that offset; where there are several, whoever lands them says which.

    Raises ForbiddenChangeError, BadReferenceError and what reading a table raises; nothing is then activated.
    """
    effects = Effects()
    for name in sorted(files.models):
        model = files.models[name]
        policies = {n: p for n, p in files.policies.items() if name in p.spec.match.models}
        before = held.get(name)
        source = references.source(model)
        digests = {
            "model": files.model_digests[name],
            "policies": {n: files.policy_digests[n] for n in sorted(policies)},
        }
        if before and before.watched and _same(before, digests, source):
            continue
        reference = _reference(before, model, source, references)
        clock = clocks.get(name)
        begins = ALWAYS if before is None or clock is None else (clock // model.spec.pane + 1) * model.spec.pane
        epoch = Epoch(begins, model, reference, policies)
        if before is not None:
            before.timeline.with_epoch(epoch)
        _activate(effects, epoch, {**digests, "reference": epoch.reference_digest}, source, at)
    for name in removed(files, held):
        body = {"model": name, "effective_from": None, "source": None, "digests": None}
        _record(effects, name, body, at)
    return effects


def removed(files: PolicySet, held: Mapping[str, Held]) -> list[str]:
    """Return the models that are watched and have no file any longer."""
    return sorted(name for name, one in held.items() if one.watched and name not in files.models)


def _same(before: Held, digests: Mapping[str, Any], source: str | None) -> bool:
    latest = before.timeline.latest
    return before.source == source and {"model": latest.model_digest, "policies": latest.policy_digests} == digests


def _reference(before: Held | None, model: ModelFile, source: str | None, references: References) -> Reference | None:
    if source is None:
        return None
    latest = before.timeline.latest if before else None
    if before and latest and before.source == source and _counted_alike(latest.model, model):
        return latest.reference
    return references.build(model)


def _counted_alike(a: ModelFile, b: ModelFile) -> bool:
    names = (
        "task",
        "positive_label",
        "features",
        "protected",
        "segments",
        "pane",
        "labels",
        "retain",
        "columns",
        "reference",
        "unit",
    )
    return all(getattr(a.spec, name) == getattr(b.spec, name) for name in names)


def _activate(effects: Effects, epoch: Epoch, digests: Mapping[str, Any], source: str | None, at: Mapping[str, Any]) -> None:
    effects.artifacts.append(_artifact("model", epoch.model))
    effects.artifacts += [_artifact("policy", policy) for policy in epoch.policies.values()]
    if epoch.reference is not None:
        blob = epoch.reference.to_bytes()
        effects.artifacts.append(Artifact(digest(blob), "reference", blob))
    body = {"model": epoch.model.name, "effective_from": epoch.effective_from, "source": source, "digests": digests}
    _record(effects, epoch.model.name, body, at)


def _artifact(kind: Any, file: ModelFile | PolicyFile) -> Artifact:
    data = canonical(file.to_json())
    return Artifact(digest(data), kind, data)


def _record(effects: Effects, name: str, body: Mapping[str, Any], at: Mapping[str, Any]) -> None:
    effects.positioned.append(PositionedWrite("activation", at.get("offset", 0), body))
    begins = body["effective_from"]
    said = {
        "model": name,
        **at,
        "effective_from": None if begins in (None, ALWAYS) else format_time(begins),
        "source": body["source"],
        "digests": body["digests"],
    }
    id_ = short_id("activation", name, msgspec.json.encode(said, order="sorted").decode())
    effects.records.append(Record("control", "activation" if body["digests"] else "deactivation", id_, name, said))
