"""What is to be done, as data. `engine.land` performs it in one transaction and in a written order; nothing else writes.

Bodies are JSON values; blobs are bytes that the room that made them can read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from guardian.events.dead_letter import DeadLetter as DeadLetter  # noqa: TC001 - made two rooms below, named here too

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Record:
    """An audit leaf before it has its place: `land` gives it sequence, previous hash and recording time.

    Attributes:
        stream: `decisions/<model>`, `intake/<partition>` or `control`.
        kind: What it says, e.g. `verdicts`, `alert`, `coverage`.
        id: Derived from what it says, unique in the log.
        model: The model it is about, or empty.
        body: JSON value.
    """

    stream: str
    kind: str
    id: str
    model: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Announcement:
    """An outgoing CloudEvent. `land` gives it the next gapless sequence of its topic.

    Attributes:
        topic: Without prefix: `alerts`, `retraining.requests`, `audit`.
        key: The model.
        type: CloudEvents type, e.g. `io.guardian.alert.v1`.
        id: Derived from what it says.
        subject: CloudEvents subject.
        time: Event time in UTC milliseconds.
        data: JSON value.
    """

    topic: str
    key: str
    type: str
    id: str
    subject: str
    time: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PaneWrite:
    """One space of one pane, whole, replacing what was stored."""

    model: str
    version: str
    start: int
    space: Literal["inputs", "labels"]
    parameters: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class RunWrite:
    """A new immutable run of the join ledger."""

    model: str
    run: int
    kind: Literal["predictions", "labels"]
    version: str
    rows: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class RunDrop:
    """A run of the join ledger that was merged away or has expired."""

    model: str
    run: int


@dataclass(frozen=True, slots=True)
class Fates:
    """Intake counters of one model and pane, whole, replacing what was stored. `model` is empty where it could not be told."""

    model: str
    pane: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something stored once by its digest: a model file, a policy file, a reference, evidence."""

    digest: str
    kind: Literal["model", "policy", "reference", "evidence"]
    data: bytes


@dataclass(frozen=True, slots=True)
class VerdictEntry:
    """Where in the audit log one revision of one verdict is; the row itself lives in that record alone.

    Attributes:
        record: The audit record's id.
        position: The row's place in that record's `rows`.
    """

    id: str
    revision: int
    final: bool
    model: str
    version: str
    policy: str
    rule: str
    severity: str
    subject: str
    window_start: int
    window_end: int
    due_at: int
    verdict: str
    reason: str
    record: str
    position: int


@dataclass(frozen=True, slots=True)
class AlertWrite:
    """The latest row of one alert, replacing what was stored; `gone` removes a pending run that left no trace."""

    id: str
    model: str
    version: str
    policy: str
    rule: str
    severity: str
    subject: str
    state: str
    started_at: int | None
    first_window: int
    row: Mapping[str, Any] = field(default_factory=dict)
    gone: bool = False


@dataclass(frozen=True, slots=True)
class RequestWrite:
    """The latest row of one retraining request, replacing what was stored."""

    id: str
    model: str
    version: str
    state: str
    proposed_at: int
    row: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateWrite:
    """A named blob of a model's state (clock, versions, judge memory), replacing what was stored."""

    model: str
    name: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class PositionedWrite:
    """Something other than an event that state folds, at its place in the log: it applies before the event at `offset`."""

    kind: Literal["activation", "idle-tick", "end-tick", "decision"]
    offset: int
    body: Mapping[str, Any]


@dataclass
class Effects:
    """Everything one step wants done, in the order it came up. Lists grow; nothing in them changes."""

    panes: list[PaneWrite] = field(default_factory=list)
    runs: list[RunWrite] = field(default_factory=list)
    dropped_runs: list[RunDrop] = field(default_factory=list)
    fates: list[Fates] = field(default_factory=list)
    states: list[StateWrite] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    verdicts: list[VerdictEntry] = field(default_factory=list)
    alerts: list[AlertWrite] = field(default_factory=list)
    requests: list[RequestWrite] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    positioned: list[PositionedWrite] = field(default_factory=list)

    def extend(self, other: Effects) -> None:
        """Append everything of `other`."""
        for name in self.__dataclass_fields__:
            getattr(self, name).extend(getattr(other, name))
