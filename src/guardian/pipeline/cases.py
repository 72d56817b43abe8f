"""Policy cases run: measurements by hand through the same gate, verdict, alert fold and consequences that judge real windows.

Takes cases and their policy. Gives every mismatch, and which rungs were ever violated and satisfied. Never: knows what a rule
means by itself. Every evaluation is of one window in its final revision.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from guardian.decisions.alerts import Kind, Track, refold, signal_of, unknown_signal
from guardian.decisions.episodes import AlertKey, AlertState, Point
from guardian.decisions.retraining import RetrainContext, act, allowed_actions
from guardian.decisions.verdict import Reason, Verdict, decide, gate, rounded
from guardian.errors import InvalidFileError
from guardian.files.document import choice_hint, shown
from guardian.metrics.base import Measured
from guardian.metrics.registry import REGISTRY
from guardian.pipeline.case_series import Feed, concerns, feeds_of, rungs_of
from guardian.pipeline.consequences import ALERT_TOPIC, consequences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardian.catalog.model_file import ModelFile
    from guardian.decisions.alerts import Transition
    from guardian.decisions.episodes import Signal
    from guardian.decisions.retraining import Request
    from guardian.effects import Effects
    from guardian.errors import Mistake
    from guardian.metrics.base import Measurement
    from guardian.pipeline.case_file import Case, CaseDecision, Cases, Wanted
    from guardian.policies.load import PolicySet
    from guardian.policies.model import Condition, PolicyFile, Severity

ENOUGH_ROWS: Final = 1_000_000  # Of a case that says nothing of rows; more than any rule requires in practice.


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one evaluation of one rung came to.

    Attributes:
        feed: The rule and what it is about.
        rung: warn, error, or unknown for the alert of on_unknown.
        at: The evaluation, from 0.
        verdict: What was judged.
        reason: Why.
        alert: Where the alert stands afterwards: none, pending, firing or resolved.
        effects: What follows, sorted.
    """

    feed: Feed
    rung: str
    at: int
    verdict: Verdict
    reason: Reason
    alert: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that did not come out as expected.

    Attributes:
        note: The case's note.
        at: The evaluation, from 0.
        about: Rule, rung and subject.
        what: verdict, reason, alert or effects.
        expected: What the file says.
        got: What came out.
        line: Where the expectation stands.
    """

    note: str
    at: int
    about: str
    what: str
    expected: str
    got: str
    line: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: its mismatches, and how many evaluations it made."""

    note: str
    evaluations: int
    mismatches: tuple[Mismatch, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether a rung ever came to either verdict, in any case of a file.

    Attributes:
        rule: The rule.
        rung: warn, error or unknown.
        violated: For unknown: whether its alert ever fired.
        satisfied: For unknown: whether a window was ever judged.
    """

    rule: str
    rung: str
    violated: bool
    satisfied: bool


@dataclass(frozen=True, slots=True)
class CasesResult:
    """A whole file."""

    file: str
    policy: str
    cases: tuple[CaseResult, ...]
    coverage: tuple[Coverage, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not any(case.mismatches for case in self.cases)


def run_cases(
    cases: Cases, policy: PolicyFile, model: ModelFile | None = None, *, only: Sequence[int] | None = None
) -> CasesResult:
    """Run the cases of a file; `only` are indices of cases, all by default, and coverage is of those that ran.

    Raises InvalidFileError with every series and expectation that is of nothing in `policy`.
    """
    resolved = [(case, *feeds_of(cases, case, policy, model)) for case in cases.cases]
    mistakes: list[Mistake] = [m for _, _, found in resolved for m in found]
    if mistakes:
        raise InvalidFileError(mistakes)
    name = cases.spec.model or (model.name if model else policy.spec.match.models[0])
    results = []
    for case, feeds, _ in resolved:
        if only is None or case.index in only:
            run = _Run(case, policy, name, cases.spec.every)
            outcomes = tuple(run.outcomes(feeds))
            mismatches = [m for one in case.expect for m in _compare(case, one, outcomes)]
            unheard = [_unheard(cases, case, i) for i in run.unheard]
            results.append(CaseResult(case.note, len(outcomes), (*mismatches, *unheard), outcomes))
    seen = [outcome for result in results for outcome in result.outcomes]
    return CasesResult(cases.document.file, policy.name, tuple(results), tuple(_coverage(policy, seen)))


def policy_of(cases: Cases, files: PolicySet) -> tuple[PolicyFile, ModelFile | None]:
    """Return the policy that the cases are of, and its model where there is a file of it.

    Args:
        cases: A file's cases.
        files: The set of the directory that the file lies in.

    Raises InvalidFileError where the file names no policy, several, or a model that the policy does not match.
    """
    document, spec = cases.document, cases.spec
    there = [
        files.policies[name]
        for (kind, name), other in files.documents.items()
        if kind == "Policy" and other.file.rpartition("/")[2] == spec.policy
    ]
    if len(there) != 1:
        what = f"{shown(spec.policy)} holds {len(there)} policies"
        hint = "split it, one policy a file" if there else choice_hint(spec.policy, sorted(_policy_files(files)))
        raise InvalidFileError([document.mistake("cases.policy", ("policy",), what, hint)])
    policy = there[0]
    if spec.model is not None and spec.model not in policy.spec.match.models:
        what, hint = f"{policy.name} is not about {shown(spec.model)}", choice_hint(spec.model, policy.spec.match.models)
        raise InvalidFileError([document.mistake("cases.policy", ("model",), what, hint)])
    return policy, files.models.get(spec.model or policy.spec.match.models[0])


def _policy_files(files: PolicySet) -> set[str]:
    return {other.file.rpartition("/")[2] for (kind, _), other in files.documents.items() if kind == "Policy"}


@dataclass(slots=True)
class _Run:
    """One case while it runs: the memory that a judge would have."""

    case: Case
    policy: PolicyFile
    model: str
    every: int | None
    tracks: dict[AlertKey, Track] = field(default_factory=dict)
    requests: Mapping[str, Request] = field(default_factory=dict)
    unheard: list[int] = field(default_factory=list)

    def outcomes(self, feeds: Sequence[Feed]) -> Iterator[Outcome]:
        for at in range(self.case.evaluations):
            for feed in feeds:
                yield from self.evaluate(feed, at)
            for i, decision in enumerate(self.case.decisions):
                if decision.at == at and not self.decided(decision):
                    self.unheard.append(i)

    def decided(self, decision: CaseDecision) -> bool:
        """Do what is decided to every request that takes it; return whether there was one."""
        open_ = [r for r in self.requests.values() if decision.action in allowed_actions(r)]
        self.requests = {**self.requests, **{r.id: act(r, decision.action, by="case", at=r.proposed_at) for r in open_}}
        return bool(open_)

    def evaluate(self, feed: Feed, at: int) -> Iterator[Outcome]:
        """Judge one window by every rung of one rule."""
        rule = feed.rule
        measured = self.measurement(feed, at)
        for severity, condition in rule.rungs:
            verdict, reason = decide(measured, condition)
            key = self.key(feed, severity, "threshold")
            counts = (self.policy.open_after_of(rule), self.policy.close_after_of(rule))
            alert, effects = self.follow(feed, key, self.point(feed, at, measured, signal_of(verdict), condition, reason), counts)
            yield Outcome(feed, severity, at, verdict, reason, alert, effects)
        if rule.on_unknown is not None:
            key = self.key(feed, rule.on_unknown.alert, "unknown")
            signal = unknown_signal(verdict, reason, final=True)
            point = self.point(feed, at, measured, signal, condition, reason)
            alert, effects = self.follow(feed, key, point, (rule.on_unknown.after, 1))
            yield Outcome(feed, "unknown", at, verdict, reason, alert, effects)

    def measurement(self, feed: Feed, at: int) -> Measurement:
        rows = ENOUGH_ROWS if self.case.rows is None else self.case.rows[at]
        needs_labels = REGISTRY[feed.rule.metric].needs_labels
        refused = gate(feed.rule.require, rows, self.case.coverage[at], needs_labels=needs_labels)
        if refused is not None:
            return refused
        return rounded(replace(self.case.series[feed.series][at], n=rows))

    def key(self, feed: Feed, severity: Severity, condition: Any) -> AlertKey:
        return AlertKey(self.model, "1", self.policy.name, feed.rule.alert, severity, feed.subject, condition)

    def point(self, feed: Feed, at: int, measured: Measurement, signal: Signal, condition: Condition, reason: Reason) -> Point:
        end = (at + 1) * (self.every or self.policy.every_of(feed.rule))
        known = measured if isinstance(measured, Measured) else None
        value, low, high = (known.value, known.low, known.high) if known else (None, None, None)
        start = end - self.policy.window_of(feed.rule)
        return Point(start, end, signal, value, low, high, measured.n, condition.threshold, reason.value)

    def follow(self, feed: Feed, key: AlertKey, point: Point, counts: tuple[int, int]) -> tuple[str, tuple[str, ...]]:
        """Fold one point; return where the alert stands and what follows."""
        if self.policy.spec.mode == "observe":
            return "none", ()
        end = point.window_end
        track = self.tracks.get(key, Track())
        track, moves = refold(track, key, [point], open_after=counts[0], close_after=counts[1], settled_until=end)
        self.tracks[key] = track
        c = self.case.context
        context = RetrainContext(c.in_flight, None, c.broken_input, c.immature_labels, c.champion)
        effects, self.requests = consequences(
            moves, key=key, rule=feed.rule, policy=self.policy, due_at=end, requests=self.requests, context=context
        )
        return _state(track, moves), _words(effects)


def _state(track: Track, moves: Sequence[Transition]) -> str:
    current = track.current
    if current is not None:
        return current.state.value
    return AlertState.RESOLVED.value if any(m.kind is Kind.RESOLVED for m in moves) else "none"


def _words(effects: Effects) -> tuple[str, ...]:
    words = ["alert" for announcement in effects.announcements if announcement.topic == ALERT_TOPIC]
    for record in effects.records:
        if record.kind == "retraining":
            words += _request_words(record.body)
    return tuple(sorted(words))


def _request_words(body: Mapping[str, Any]) -> list[str]:
    match body["transition"]:
        case "proposed":
            decided = {"declined", "approved"} & {body["state"]}
            return ["retrain-proposed", *(f"retrain-{state}" for state in decided)]
        case "inherited":
            return ["retrain-inherited"]
        case _:
            return ["retrain-withdrawn"] if body["state"] == "withdrawn" else []


def _compare(case: Case, wanted: Wanted, outcomes: Sequence[Outcome]) -> Iterator[Mismatch]:
    spec = wanted.spec
    effects = None if spec.effects is None else tuple(sorted(spec.effects))
    for outcome in outcomes:
        if outcome.at not in wanted.at or not concerns(wanted, outcome.feed, outcome.rung):
            continue
        pairs = (
            ("verdict", spec.verdict, outcome.verdict.value),
            ("reason", spec.reason, outcome.reason.value),
            ("alert", spec.alert, outcome.alert),
            ("effects", effects, outcome.effects),
        )
        about = f"{outcome.feed.rule.alert} {outcome.rung} {outcome.feed.subject.key}".rstrip()
        for what, expected, got in pairs:
            if expected is not None and expected != got:
                yield Mismatch(case.note, outcome.at, about, what, _said(expected), _said(got), wanted.line)


def _unheard(cases: Cases, case: Case, index: int) -> Mismatch:
    decision = case.decisions[index]
    line = cases.document.place(("cases", case.index, "decisions", index)).line
    return Mismatch(case.note, decision.at, "retraining", "decision", decision.action, "no request that takes it", line)


def _said(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]"


def _coverage(policy: PolicyFile, seen: Sequence[Outcome]) -> Iterator[Coverage]:
    for rule in policy.spec.rules:
        for rung in rungs_of(rule):
            mine = [o for o in seen if o.feed.rule.alert == rule.alert and o.rung == rung]
            if rung == "unknown":
                fired = any(o.alert == AlertState.FIRING.value for o in mine)
                yield Coverage(rule.alert, rung, fired, any(o.verdict is not Verdict.UNKNOWN for o in mine))
            else:
                verdicts = {o.verdict for o in mine}
                yield Coverage(rule.alert, rung, Verdict.VIOLATED in verdicts, Verdict.SATISFIED in verdicts)
