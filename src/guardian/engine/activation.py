"""Changed files take effect in a fleet: one transaction that locks every partition of the log and fences whoever is at work.

What was counted or judged under the older files and has not landed is refused, and done again under the newer ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.engine.catalog import changes, load_catalog
from guardian.engine.fates import FencedError
from guardian.engine.judging import seat_of
from guardian.pipeline.state import Clock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from guardian.catalog.model_file import ModelFile
    from guardian.effects import Effects
    from guardian.engine.catalog import References
    from guardian.engine.ports import Partition, Standing, Store, Transaction
    from guardian.panes.windows import Reference
    from guardian.policies.load import PolicySet


def activate(store: Store, topic: str, files: PolicySet, references: References, at: int) -> Effects:
    """Make `files` hold in every partition where they differ from what holds; return what was landed.

    A change takes effect at the first pane start after the greatest event time seen in any partition. References are built
    before anything is locked.

    Raises FencedError when somebody else activated files at the same moment, and what `engine.catalog.changes` raises.
    """
    standings = store.standings(topic)
    partitions = [standing.claim.partition for standing in standings]
    held = load_catalog(store, partitions[0])
    once = _Once(references)
    draft = changes(files, held, {}, once, {})
    if not draft.positioned:
        return draft
    models = sorted({write.body["model"] for write in draft.positioned})
    with store.begin() as transaction:
        locked = transaction.lock([*partitions, *map(seat_of, models)])
        if _catalogs(locked[: len(partitions)]) != _catalogs(standings):
            raise FencedError("somebody else changed what holds", hint="look again what holds")
        offsets = {
            f"{s.claim.partition.topic}/{s.claim.partition.number}": s.claim.next_offset for s in locked[: len(partitions)]
        }
        effects = changes(files, held, _clocks(transaction, topic, held), once, {"offsets": offsets})
        for standing in locked:
            _position(transaction, standing, effects, at, models if standing.claim.partition in partitions else ())
        transaction.put_artifacts(effects.artifacts)
        transaction.append_records(effects.records, at)
    return effects


def _position(transaction: Transaction, standing: Standing, effects: Effects, at: int, models: Collection[str]) -> None:
    """Write the activations into a partition of the log, or into the seat of the one model that is judged there."""
    partition: Partition = standing.claim.partition
    for write in effects.positioned:
        if write.body["model"] in models or seat_of(write.body["model"]) == partition:
            transaction.add_positioned(partition, write.kind, standing.claim.next_offset, write.body, at)
    transaction.raise_catalog(partition)


def _clocks(transaction: Transaction, topic: str, models: Iterable[str]) -> dict[str, int | None]:
    """Return the greatest clock of each model over the partitions."""
    found: dict[str, int | None] = {}
    for name in models:
        said = (Clock.from_bytes(blob).clock for blob in transaction.clocks(topic, name).values())
        found[name] = max((clock for clock in said if clock is not None), default=None)
    return found


def _catalogs(standings: Iterable[Standing]) -> list[int]:
    return [standing.claim.catalog for standing in standings]


class _Once:
    """References that are read and built once: a table that changes meanwhile is another activation's."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._sources: dict[str, str | None] = {}
        self._built: dict[str, Reference] = {}

    def source(self, model: ModelFile) -> str | None:
        """Return a digest of the table that a model file names."""
        if model.name not in self._sources:
            self._sources[model.name] = self._references.source(model)
        return self._sources[model.name]

    def build(self, model: ModelFile) -> Reference:
        """Fold that table into a reference."""
        if model.name not in self._built:
            self._built[model.name] = self._references.build(model)
        return self._built[model.name]
