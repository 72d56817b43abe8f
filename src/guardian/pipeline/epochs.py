"""Which model file, reference and policies hold when: an append-only timeline of epochs for each model.

An epoch begins at a pane start, in event time. Panes choose their parameters by their own start, windows their policies by their
end. The first epoch reaches back for ever.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from guardian.canonical import digest_of
from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters, canonical_key
from guardian.errors import GuardianError
from guardian.panes.clock import Spans
from guardian.panes.coding import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.catalog.model_file import ModelFile, ModelSpec
    from guardian.panes.windows import Reference
    from guardian.policies.model import PolicyFile

ALWAYS: Final = -(1 << 60)  # Before every event: where the first epoch begins.
_LEAST, _GREATEST = -1.7976931348623157e308, 1.7976931348623157e308


class ForbiddenChangeError(GuardianError):
    """A model file changed what its counts are made of; the name would mean two things."""

    code = "catalog.forbidden-change"


@dataclass(frozen=True)
class Epoch:
    """What holds of one model from a pane start on.

    Attributes:
        effective_from: The pane start, UTC milliseconds.
        model: The model file.
        reference: The reference, or None.
        policies: Policy files that match the model, by name.
    """

    effective_from: int
    model: ModelFile
    reference: Reference | None
    policies: Mapping[str, PolicyFile]

    @cached_property
    def parameters(self) -> Parameters:
        """What panes of this epoch are counted by."""
        return self.reference.parameters if self.reference else bare_parameters(self.model)

    @cached_property
    def model_digest(self) -> str:
        """Digest of the model file's meaning."""
        return digest_of(self.model.to_json())

    @cached_property
    def reference_digest(self) -> str | None:
        """Content address of the reference."""
        return self.reference.digest if self.reference else None

    @cached_property
    def policy_digests(self) -> dict[str, str]:
        """Digests of the policies' meaning, by name."""
        return {name: digest_of(policy.to_json()) for name, policy in sorted(self.policies.items())}

    @cached_property
    def spans(self) -> Spans:
        """The spans that the model file declares."""
        return Spans.of(self.model.spec)

    def digests(self) -> dict[str, Any]:
        """Return what tells this epoch from another, apart from when it begins."""
        return {"model": self.model_digest, "reference": self.reference_digest, "policies": self.policy_digests}


@dataclass(frozen=True)
class Timeline:
    """The epochs of one model, oldest first; there is always one."""

    epochs: tuple[Epoch, ...]

    @cached_property
    def _starts(self) -> list[int]:
        return [epoch.effective_from for epoch in self.epochs]

    @property
    def latest(self) -> Epoch:
        """The newest epoch, whether or not the clock has reached it: its spans are the model's."""
        return self.epochs[-1]

    @cached_property
    def reading(self) -> ModelFile:
        """The newest model file, and every feature and protected attribute of the older ones: what events are decoded by.

        Panes before a change are still counted by the columns that hold there.
        """
        files = [epoch.model.spec for epoch in self.epochs]
        features = {name: feature for spec in files for name, feature in spec.features.items()}
        protected = tuple(dict.fromkeys(name for spec in reversed(files) for name in spec.protected))
        newest = self.latest.model.spec  # The order of a server's inputs is that of its own features, not of older ones.
        spec = newest.model_copy(update={"features": features, "protected": protected, "serving": newest.served})
        return self.latest.model.model_copy(update={"spec": spec})

    @cached_property
    def _widest_window_ms(self) -> int:
        rules = ((p, r) for e in self.epochs for p in e.policies.values() for r in p.spec.rules)
        return max((policy.window_of(rule) for policy, rule in rules), default=0)

    def oldest_pane(self, clock: int) -> int:
        """Return the pane before which nothing is counted and nothing is looked at once the clock is here."""
        spans, silence = self.latest.spans, self.latest.model.spec.retire_after
        return spans.bounds(clock).known_from - max(self._widest_window_ms, silence) // spans.pane_ms - 1

    def index(self, at: int) -> int:
        """Return the number of the epoch that holds at an instant."""
        return max(0, bisect_right(self._starts, at) - 1)

    def at(self, at: int) -> Epoch:
        """Return the epoch that holds at an instant."""
        return self.epochs[self.index(at)]

    def with_epoch(self, epoch: Epoch) -> Timeline:
        """Return the timeline with one more epoch. Raises ForbiddenChangeError where counts would not fit together."""
        old, new = self.latest.model.spec, epoch.model.spec
        for name in ("pane", "task", "positive_label", "unit"):
            if getattr(old, name) != getattr(new, name):
                raise ForbiddenChangeError(
                    f"{epoch.model.name}: {name} cannot change under one model name", hint="give the changed model a new name"
                )
        known, types = _types(self.reading.spec), _types(new)  # Of a feature that was removed, too: old panes are counted by it.
        if changed := sorted(name for name in known.keys() & types.keys() if known[name] != types[name]):
            raise ForbiddenChangeError(
                f"{epoch.model.name}: the type of feature {changed[0]} cannot change under one model name",
                hint="give the changed feature, or the changed model, a new name",
            )
        if old.task == "binary_classification" and self.latest.parameters.classes != epoch.parameters.classes:
            raise ForbiddenChangeError(
                f"{epoch.model.name}: its classes cannot change under one model name", hint="give the changed model a new name"
            )
        kept = tuple(e for e in self.epochs if e.effective_from < epoch.effective_from)
        return Timeline((*kept, epoch))


def _types(spec: ModelSpec) -> dict[str, str]:
    """Return how each column is counted; protected attributes are categories."""
    return dict.fromkeys(spec.protected, "categorical") | {name: feature.type for name, feature in spec.features.items()}


def bare_parameters(model: ModelFile) -> Parameters:
    """Return what to count by where there is no reference: one bin a number, and every category new."""
    spec = model.spec
    columns = tuple(
        NumericColumn(name, (), _LEAST, _GREATEST) if name in spec.numeric else CategoricalColumn(name, ())
        for name in spec.column_names
    )
    positive = canonical_key(spec.positive_label) if spec.positive_label is not None else None
    classes = () if positive is None else tuple(sorted((OTHER, positive)))
    return Parameters(
        task=spec.task,
        columns=columns,
        classes=classes,
        positive=-1 if positive is None else classes.index(positive),
        prediction=NumericColumn("prediction", (), _LEAST, _GREATEST) if spec.task == "regression" else None,
        segments=spec.segments,
        horizon_panes=spec.horizon_panes,
        unit=spec.unit,
    )
