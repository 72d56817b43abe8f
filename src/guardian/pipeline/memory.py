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
OWN: Final = "judge"  # Name of the state blob that is about no policy.

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
    """Everything that judging one model remembers.

    Attributes:
        rules: Windows by version, policy and rule.
        tracks: Alerts.
        requests: Retraining requests by id.
        retired: By version, its greatest prediction time when its silence closed its alerts.
        judged: Instants up to here have been judged; only where judging runs beside counting.
        touched: (version, policy) pairs to be stored.
        touched_own: Whether `retired` or `judged` is to be stored.
    """

    rules: dict[tuple[str, str, str], RuleMemory] = field(default_factory=lambda: defaultdict(RuleMemory))
    tracks: dict[AlertKey, Track] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    retired: dict[str, int] = field(default_factory=dict)
    judged: int | None = None
    touched: set[tuple[str, str]] = field(default_factory=set)
    touched_own: bool = False

    def retire(self, version: str, last: int) -> None:
        """Take note that a version's alerts were closed because nothing came after `last`."""
        self.retired[version] = last
        self.touched_own = True

    def judge_until(self, instant: int) -> None:
        """Take note that instants up to this one have been judged."""
        self.judged = instant
        self.touched_own = True

    def writes(self, model: str) -> list[StateWrite]:
        """Return what to store of what was touched since the last commit, and start anew."""
        out = [
            StateWrite(model, f"{PREFIX}{version}/{policy}", self._blob(version, policy))
            for version, policy in sorted(self.touched)
        ]
        if self.touched_own:
            out.append(
                StateWrite(model, OWN, msgspec.json.encode({"retired": self.retired, "judged": self.judged}, order="sorted"))
            )
        self.touched, self.touched_own = set(), False
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
    def load(cls, model: str, states: Iterable[StateWrite], requests: Mapping[str, Request]) -> ModelMemory:
        """Rebuild the memory of a model from its requests and its stored blobs, of which others are passed over."""
        memory = cls(requests=dict(requests))
        own = {write.name: write.blob for write in states if write.model == model}
        if OWN in own:
            said = msgspec.json.decode(own[OWN])
            memory.retired, memory.judged = said["retired"], said["judged"]
        for blob in (blob for name, blob in own.items() if name.startswith(PREFIX)):
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
