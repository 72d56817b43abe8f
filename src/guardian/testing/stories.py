"""A small world in memory: ten hours of a model's life in a few hundred events, driven through the real engine on virtual time.

Everything is derived from a seed. What a run comes to is one value (`Outcome`), so that two runs are compared whole.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from guardian.adapters.memory.store import MemoryLog, MemoryStore
from guardian.audit.chain import parse_record
from guardian.canonical import digest_of
from guardian.catalog.model_file import ModelFile
from guardian.engine.engine import Engine
from guardian.engine.ports import Partition
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.pipeline.reference import Table, build
from guardian.policies.load import PolicySet
from guardian.policies.model import PolicyFile
from guardian.units import HOUR_MS, MINUTE_MS, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from guardian.effects import VerdictEntry
    from guardian.panes.windows import Reference

START: Final = int(parse_time("2024-03-01T00:00:00Z"))
PARTITION: Final = Partition("inbox", 0)
_HEAD: Final = {"apiVersion": "guardian/v1alpha1"}


def model(name: str = "loans", **spec: Any) -> ModelFile:
    """Return the model file of the story, with parts of its spec replaced."""
    base = {
        "task": "binary_classification",
        "positive_label": "yes",
        "champion": "1",
        "features": {"salary": {"type": "numeric"}, "purpose": {"type": "categorical"}},
        "protected": ["sex"],
        "segments": [["sex"]],
        "pane": "1h",
        "allowed_lateness": "30m",
        "clock": "replay",
        "labels": {"horizon": "3h"},
        "reference": {"uri": "reference.csv"},
    }
    return ModelFile.model_validate({**_HEAD, "kind": "Model", "metadata": {"name": name}, "spec": base | spec})


def policy(name: str, *rules: Mapping[str, Any], **spec: Any) -> PolicyFile:
    """Return a policy file about the story's model."""
    base = {
        "match": {"models": ["loans"]},
        "defaults": {"window": "2h", "every": "1h", "open_after": 2, "close_after": 1},
        "rules": list(rules),
    }
    return PolicyFile.model_validate({**_HEAD, "kind": "Policy", "metadata": {"name": name}, "spec": base | spec})


DRIFT: Final = {"alert": "Drift", "metric": "drift.psi", "columns": ["purpose"], "warn": "> 0.2", "error": "> 0.8"}
MISSING: Final = {
    "alert": "Missing",
    "metric": "quality.missing_share",
    "columns": ["salary"],
    "warn": "> 0.1",
    "require": {"rows": 8},
    "on_unknown": {"alert": "warn", "after": 2},
}
ACCURACY: Final = {
    "alert": "Accuracy",
    "metric": "performance.accuracy",
    "warn": "< 0.75",
    "error": "< 0.65",
    "require": {"label_coverage": 0.95},
    "retrain": {"approval": "required", "cooldown": "4h", "on": "warn"},
    "on_unknown": {"alert": "error", "after": 2},
}
PARITY: Final = {
    "alert": "Parity",
    "metric": "fairness.demographic_parity_ratio",
    "by": "sex",
    "warn": "< 0.3",
    "restate_every": "2h",
}
POLICIES: Final = (policy("inputs", DRIFT, MISSING), policy("outcome", ACCURACY, PARITY))


def files(model_file: ModelFile | None = None, policies: Iterable[PolicyFile] = POLICIES) -> PolicySet:
    """Return a set of valid files."""
    known = model() if model_file is None else model_file
    by_name = {p.name: p for p in policies}
    digests = {name: digest_of(p.to_json()) for name, p in by_name.items()}
    return PolicySet({known.name: known}, by_name, {known.name: digest_of(known.to_json())}, digests, {})


@dataclass
class References:
    """The story's reference table, seeded; another `seed` gives other bins and the same categories."""

    seed: int = 1
    extra: tuple[str, ...] = ()
    rows: int = 400

    def source(self, model_file: ModelFile) -> str | None:
        """Return what stands for the table's digest."""
        return f"{self.seed}{self.extra}" if model_file.spec.reference else None

    def build(self, model_file: ModelFile) -> Reference:
        """Fold the table into a reference."""
        rng = random.Random(self.seed)  # noqa: S311 - a story, not a secret
        cases = [_case(rng, "1", drifted=False) for _ in range(self.rows)]
        purposes = [c.purpose for c in cases]
        purposes[: len(self.extra)] = self.extra
        columns: dict[str, list[Any]] = {"salary": [c.salary for c in cases], "purpose": purposes, "sex": [c.sex for c in cases]}
        return build(model_file, Table(columns, [c.said for c in cases], [c.score for c in cases], [c.truth for c in cases]))


@dataclass(frozen=True, slots=True)
class Case:
    """One case that a model judges, and what turns out to be true of it."""

    salary: float | None
    purpose: str
    sex: str
    score: float
    said: str
    truth: str


def _case(rng: random.Random, version: str, *, drifted: bool) -> Case:
    sex = rng.choice("fm")
    salary = None if drifted and rng.random() < 0.4 else round(rng.uniform(900, 5000), 1)
    purpose = rng.choice(("car", "boat", "moon") if drifted else ("car", "car", "car", "home"))
    score = round(min(1.0, max(0.0, rng.gauss(0.5 if sex == "f" else 0.6, 0.25))), 4)
    said = "yes" if score >= (0.5 if version == "1" else 0.4) else "no"
    right = rng.random() < (0.5 if drifted else 0.95)
    return Case(salary, purpose, sex, score, said, said if right else ("no" if said == "yes" else "yes"))


@dataclass(frozen=True, slots=True)
class Said:
    """One event: when it happened, and its bytes."""

    time: int
    event: bytes


@dataclass(frozen=True)
class Plot:
    """What happens: predictions an hour over some hours, drifting in the middle, each with its truth after a while.

    Attributes:
        seed: Of everything.
        hours: Length of the story.
        an_hour: Predictions an hour.
        versions: Versions that score each case, under the same id.
        delay: Greatest label delay, milliseconds.
        drifts: Hours [from, until) in which inputs drift and the model errs.
        quiet: Hours without predictions.
    """

    seed: int = 7
    hours: int = 10
    an_hour: int = 24
    versions: tuple[str, ...] = ("1",)
    delay: int = 2 * HOUR_MS
    drifts: tuple[int, int] = (3, 6)
    quiet: frozenset[int] = field(default_factory=frozenset)

    def events(self) -> list[Said]:
        """Return the events in the order of their times."""
        rng, out = random.Random(self.seed), []  # noqa: S311 - a story, not a secret
        for hour in range(self.hours):
            for i in range(0 if hour in self.quiet else self.an_hour):
                at = START + hour * HOUR_MS + rng.randrange(HOUR_MS)
                out += list(self._about(rng, f"c-{hour}-{i}", at, drifted=self.drifts[0] <= hour < self.drifts[1]))
        return sorted(out, key=lambda said: (said.time, said.event))

    def _about(self, rng: random.Random, name: str, at: int, *, drifted: bool) -> Iterable[Said]:
        for version in self.versions:
            case = _case(rng, version, drifted=drifted)
            yield Said(at, prediction(name, at, case, version))
        known = at + rng.randrange(self.delay)
        yield Said(known, label(name, known, case.truth))
        if rng.random() < 0.1:  # A correction, which may say something else.
            later = known + rng.randrange(30 * MINUTE_MS)
            yield Said(later, label(name, later, rng.choice(("yes", "no"))))


def prediction(name: str, at: int, case: Case, version: str | None = None, model_name: str = "loans") -> bytes:
    """Return the event of a case."""
    features = {"purpose": case.purpose} | ({} if case.salary is None else {"salary": case.salary})
    said = PredictionData(
        model=model_name,
        version=version,
        features=features,
        prediction=case.said,
        score=case.score,
        attributes={"sex": case.sex},
    )
    return encode_prediction(name, at, said)


def label(name: str, at: int, truth: str, model_name: str = "loans") -> bytes:
    """Return the event of a truth."""
    return encode_label(at, LabelData(prediction_id=name, model=model_name, label=truth))


@dataclass(frozen=True)
class Outcome:
    """What a run came to, without when it was written down and how it was cut into steps.

    Attributes:
        panes: Bytes of every pane by version, start and space.
        records: What decisions streams say, in order.
        verdicts: Every revision's row with its record's facts, in order.
        alerts: Rows by id.
        requests: Rows by id.
        fates: Intake counters by pane.
        announced: Ids in order, by topic.
    """

    panes: dict[Any, bytes]
    records: list[Any]
    verdicts: list[dict[str, Any]]
    alerts: dict[str, dict[str, Any]]
    requests: dict[str, Any]
    fates: dict[Any, int]
    announced: list[tuple[str, str]]

    @property
    def finals(self) -> dict[str, dict[str, Any]]:
        """Final verdicts by id, without which revision it was."""
        return {row["id"]: {k: v for k, v in row.items() if k != "revision"} for row in self.verdicts if row["final"]}

    @property
    def standing(self) -> dict[str, dict[str, Any]]:
        """Alerts that hold, without what they replaced."""
        return {
            id_: {k: v for k, v in row.items() if k != "replaces"}
            for id_, row in self.alerts.items()
            if row["state"] != "retracted"
        }

    def total(self, fate: str) -> int:
        """Return an intake counter over all panes."""
        return sum(n for (_, _, name), n in self.fates.items() if name == fate)


@dataclass
class World:
    """One store, one log and the engine on it.

    Attributes:
        store: What survives a crash; anything that is a store.
        references: The reference tables.
        wall: The wall clock, UTC milliseconds; a test sets it.
    """

    store: Any = field(default_factory=MemoryStore)
    references: References = field(default_factory=References)
    wall: int = START + 60 * 24 * HOUR_MS
    log: MemoryLog = field(default_factory=MemoryLog)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start an engine on what the store holds, as after a crash."""
        self.engine = Engine(self.store, self.log, PARTITION, "me", now=lambda: self.wall, group_table=_no_table)

    def activate(self, chosen: PolicySet | None = None) -> World:
        """Make files hold."""
        self.engine.activate(files() if chosen is None else chosen, self.references)
        return self

    def tell(self, events: Sequence[Said | bytes]) -> World:
        """Put events into the log, received now."""
        self.log.append([e.event if isinstance(e, Said) else e for e in events], self.wall)
        return self

    def drain(self, batch: int = 1_000) -> World:
        """Step until the log is drained, `batch` events at a time."""
        while self._step(batch):
            pass
        return self

    def _step(self, batch: int) -> bool:
        return self.engine.step(batch) is not None

    def run(self, events: Sequence[Said | bytes], batch: int | None = None) -> Outcome:
        """Activate the story's files, take events in, count, judge and end."""
        self.activate()
        size = len(events) if batch is None else batch
        for first in range(0, len(events), max(size, 1)):
            self.tell(events[first : first + size])
        self.drain(max(size, 1))
        self.engine.end()
        return self.outcome()

    def outcome(self) -> Outcome:
        """Return what the store holds."""
        return outcome_of(self.tables)

    @property
    def tables(self) -> Any:
        """The store's tables."""
        return self.store.tables


def outcome_of(tables: Any) -> Outcome:
    """Return what a store's tables come to."""
    said = [r for (stream, _), r in sorted(tables.records.items()) if stream.startswith("decisions/")]
    by_id = {r.id: parse_record(r.body_bytes)["body"] for r in said}
    entries = sorted(tables.verdicts.values(), key=_place)
    return Outcome(
        panes={(w.model, w.version, w.start, w.space, w.parameters): w.blob for w in tables.panes.values() if w.blob},
        records=[(r.kind, r.id, r.model, by_id[r.id]) for r in said],
        verdicts=[_verdict(by_id[e.record], e) for e in entries],
        alerts={w.id: dict(w.row) for w in tables.alerts.values()},
        requests={w.id: dict(w.row) for w in tables.requests.values()},
        fates={key: n for (_, key), n in tables.fates.items() if n},
        announced=sorted((row.topic, row.msg_id) for row in tables.outbox.values()),
    )


def _no_table(*_: Any) -> list[dict[str, Any]]:
    return []


def _place(entry: VerdictEntry) -> tuple[Any, ...]:
    return (entry.due_at, entry.window_end, entry.record, entry.position)


def _verdict(body: Mapping[str, Any], entry: VerdictEntry) -> dict[str, Any]:
    facts = {name: body[name] for name in ("policy", "version", "window", "due_at", "final", "digests", "method")}
    return {**facts, **body["rows"][entry.position]}


def with_copies(events: Sequence[Said], rng: random.Random, most: int) -> list[Said]:
    """Return every event twice, in an order in which none is more than `most` milliseconds behind its time."""
    late: Callable[[Said], tuple[int, float]] = lambda said: (said.time + rng.randrange(most), rng.random())  # noqa: E731
    return [said for _, said in sorted(((late(said), said) for said in (*events, *events)), key=lambda pair: pair[0])]
