"""What the judge remembers of one model between due points: windows not yet final, alert tracks, retraining requests.

Bounded: a window is forgotten at its final revision, a track keeps only what may still be revised.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardian.decisions.alerts import Track
from guardian.decisions.episodes import AlertKey
from guardian.effects import StateWrite
from guardian.metrics.base import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardian.decisions.retraining import Request
    from guardian.metrics.base import Measurement

PREFIX: Final = "judge/"  # Of the names of state blobs; version and policy follow.

Given = tuple[int, str, str]
"""The last recorded revision of a verdict: its number, verdict and reason."""


@dataclass(slots=True)
class Pending:
    """A window that has been judged and is not final.

    Attributes:
        covered: Whether its labels were mature.
        given: What was recorded, by verdict.
        measured: By subject, the digest of the evidence last read and what it measured: the same evidence is not measured
            again. Not stored; after a restart it is measured once more, to the same value.
    """

    covered: bool = False
    given: dict[str, Given] = field(default_factory=dict)
    measured: dict[str, tuple[str, Measurement]] = field(default_factory=dict)


@dataclass(slots=True)
class RuleMemory:
    """The windows of one rule and version.

    Attributes:
        windows: Windows judged and not final, by end.
        frontier: Windows that end here or earlier have been judged, as far as they begin at `first` or later.
        first: The pane start from which windows were made so far.
        final_until: Windows that end here or earlier are final.
    """

    windows: dict[int, Pending] = field(default_factory=dict)
    frontier: int | None = None
    first: int | None = None
    final_until: int = -(1 << 61)


@dataclass
class ModelMemory:
    """Everything that judging one model remembers."""

    rules: dict[tuple[str, str, str], RuleMemory] = field(default_factory=lambda: defaultdict(RuleMemory))
    tracks: dict[AlertKey, Track] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    touched: set[tuple[str, str]] = field(default_factory=set)

    def writes(self, model: str) -> list[StateWrite]:
        """Return what to store of the (version, policy) pairs touched since the last commit, and start anew."""
        out = [
            StateWrite(model, f"{PREFIX}{version}/{policy}", self._blob(version, policy))
            for version, policy in sorted(self.touched)
        ]
        self.touched = set()
        return out

    def _blob(self, version: str, policy: str) -> bytes:
        rules = {
            rule: [
                memory.frontier,
                memory.first,
                memory.final_until,
                {str(end): [p.covered, p.given] for end, p in sorted(memory.windows.items())},
            ]
            for (v, p_name, rule), memory in self.rules.items()
            if (v, p_name) == (version, policy)
        }
        tracks = [
            [key.rule, key.severity, key.subject.to_json(), key.condition, track.to_json()]
            for key, track in self.tracks.items()
            if (key.version, key.policy) == (version, policy)
        ]
        return msgspec.json.encode({"version": version, "policy": policy, "rules": rules, "tracks": tracks})

    @classmethod
    def load(cls, model: str, blobs: Iterable[bytes], requests: Mapping[str, Request]) -> ModelMemory:
        """Rebuild the memory of a model from its stored blobs and requests."""
        memory = cls(requests=dict(requests))
        for blob in blobs:
            body: dict[str, Any] = msgspec.json.decode(blob)
            version, policy = body["version"], body["policy"]
            for rule, (frontier, first, final_until, windows) in body["rules"].items():
                pending = {
                    int(end): Pending(covered, {name: (g[0], g[1], g[2]) for name, g in given.items()})
                    for end, (covered, given) in windows.items()
                }
                memory.rules[version, policy, rule] = RuleMemory(pending, frontier, first, final_until)
            for rule, severity, subject, condition, track in body["tracks"]:
                key = AlertKey(model, version, policy, rule, severity, Subject.from_json(subject), condition)
                memory.tracks[key] = Track.from_json(track, key)
        return memory
