"""Stage 2: judge one model at one instant of its clock.

Takes panes, the timeline of what holds when, and what was remembered. Gives effects: verdict records with their evidence, and
what follows for alerts and retraining. Never: reads a clock, counts events. Windows are judged oldest
first; of a window, policies by name and rules in file order, so that the records are a function of the log.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from guardian.canonical import digest, short_id
from guardian.decisions.alerts import Kind, Track, close_stale, refold, signal_of, unknown_signal
from guardian.decisions.episodes import AlertKey, AlertState, Point, Signal
from guardian.decisions.retraining import RetrainContext
from guardian.decisions.verdict import VerdictKey, VerdictRow, decide, least_coverage
from guardian.effects import Artifact, Effects, Record, VerdictEntry
from guardian.metrics.base import Measured, Measurement
from guardian.metrics.registry import METHOD, REGISTRY, parts_read
from guardian.panes.windows import Evidence, Window, evidence_of, window_of
from guardian.pipeline.consequences import consequences
from guardian.pipeline.counts import cumulated
from guardian.pipeline.measure import measure
from guardian.pipeline.memory import Pending
from guardian.pipeline.schedule import Due, Traffic, alert_keys, due_windows
from guardian.policies.load import subjects_of
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from guardian.catalog.parameters import Parameters
    from guardian.decisions.alerts import Transition
    from guardian.metrics.base import Subject
    from guardian.pipeline.counts import Counts
    from guardian.pipeline.epochs import Epoch, Timeline
    from guardian.pipeline.memory import ModelMemory
    from guardian.policies.model import PolicyFile, Rule

    GroupTable = Callable[[Parameters, str, NDArray[np.int64], NDArray[np.int64]], list[dict[str, Any]]]


BROKEN_INPUT: Final = frozenset({"quality.missing_share", "quality.out_of_range_share", "quality.new_category_share"})


@dataclass
class Judge:
    """Judges one model; holds nothing but what it may forget: caches of references.

    Attributes:
        model: The model's name.
        group_table: Makes the group table that is kept with a firing fairness alert.
    """

    model: str
    group_table: GroupTable
    _references: dict[str, Window] = field(default_factory=dict)

    def judge(self, state: Counts, timeline: Timeline, memory: ModelMemory, due_at: int) -> Effects:
        """Return what is to be done at `due_at`; `memory` is changed in place."""
        sitting = _Sitting(self, state, timeline, memory, due_at)
        for version in sorted(state.versions):
            for window, found in sitting.due(version):
                sitting.window(version, window, found)
            if due_at % timeline.latest.spans.pane_ms == 0:
                sitting.close_removed(version)
                sitting.retire(version)
        sitting.effects.artifacts += [Artifact(name, "evidence", blob) for name, blob in sitting.kept.items()]
        return sitting.effects

    def abandon(self, state: Counts, timeline: Timeline, memory: ModelMemory) -> Effects:
        """Return what is to be done when the model is watched no longer: its alerts close as stale."""
        if state.clock is None:
            return Effects()
        sitting = _Sitting(self, state, timeline, memory, state.clock)
        sitting.close(list(memory.tracks))
        return sitting.effects

    def reference(self, epoch: Epoch) -> Window | None:
        """Return the reference's counts of an epoch."""
        if epoch.reference is None or epoch.reference_digest is None:
            return None
        if epoch.reference_digest not in self._references:
            self._references[epoch.reference_digest] = epoch.reference.window()
        return self._references[epoch.reference_digest]


_Span = tuple[int, int]


@dataclass
class _Sitting:
    """One model at one instant."""

    judge: Judge
    state: Counts
    timeline: Timeline
    memory: ModelMemory
    due_at: int
    effects: Effects = field(default_factory=Effects)
    windows: dict[tuple[str, int, int, str], Window] = field(default_factory=dict)
    evidence: dict[tuple[int, tuple[str, ...]], tuple[Evidence, str, bytes]] = field(default_factory=dict)
    totals: dict[str, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)

    def due(self, version: str) -> list[tuple[_Span, list[Due]]]:
        """Return the windows that are due, oldest first, each with its rules by policy."""
        found: dict[tuple[int, int, str], list[Due]] = defaultdict(list)
        for policy, rule in self._rules():
            names = (version, policy, rule)
            traffic = Traffic(self.state.versions[version], self.state.ticked)
            held = self.memory.rules[names]
            for due in due_windows(self.timeline, names, traffic, held, self.due_at, partial(self._coverage, version)):
                found[due.end, due.start, policy].append(due)
        return [((start, end), found[end, start, policy]) for end, start, policy in sorted(found)]

    def _rules(self) -> list[tuple[str, str]]:
        places: dict[tuple[str, str], int] = {}
        for epoch in self.timeline.epochs:
            for name, policy in epoch.policies.items():
                places |= {(name, rule.alert): i for i, rule in enumerate(policy.spec.rules)}
        return sorted(places, key=lambda pair: (pair[0], places[pair], pair[1]))

    def _coverage(self, version: str, start: int, end: int) -> float:
        """Return the label coverage of a window, from totals that are summed up once a sitting."""
        pane = self.timeline.latest.spans.pane_ms
        if version not in self.totals:
            self.totals[version] = cumulated(self.state, version)
        first, sums = self.totals[version]
        low, high = (min(max(at // pane - first, 0), len(sums) - 1) for at in (start, end))
        predictions, labelled = sums[high][0] - sums[low][0], sums[high][1] - sums[low][1]
        return labelled / predictions if predictions else 0.0

    def window(self, version: str, span: _Span, found: list[Due]) -> None:
        """Judge one policy's rules on one window, and record what is news."""
        rows: list[VerdictRow] = []
        after = Effects()
        for due in found:
            rows += self._rule(version, due, after)
        if rows:
            self._record(version, span, found[0], rows)
        self.effects.extend(after)

    def _rule(self, version: str, due: Due, after: Effects) -> list[VerdictRow]:
        held = self.memory.rules[version, due.policy.name, due.rule.alert]
        pending = held.windows.setdefault(due.end, Pending())
        self.memory.touched.add((version, due.policy.name))
        live = self._window(version, due)
        if live.predictions and live.labelled / live.predictions >= least_coverage(due.rule.require):
            pending.covered = True
        if due.final:
            held.final_until = max(held.final_until, due.end)
        out: list[VerdictRow] = []
        for subject in subjects_of(due.rule, due.epoch.model, due.epoch.parameters.classes):
            evidence, name, blob = self._evidence(live, due, subject)
            known, measurement = pending.measured.get(subject.key, ("", None))
            if measurement is None or known != name:
                measurement = measure(due.rule, subject, evidence, self.judge.reference(due.epoch))
                pending.measured[subject.key] = (name, measurement)
                self.kept[name] = blob
            rows = self._rungs(version, due, subject, measurement, name, pending)
            out += self._alerts(due, subject, rows, after, held.final_until)
        if due.final:
            held.windows.pop(due.end)
        return out

    def _window(self, version: str, due: Due) -> Window:
        key = (version, due.start, due.end, due.epoch.parameters.digest)
        if key not in self.windows:
            pane = self.timeline.latest.spans.pane_ms
            ordinals = range(due.start // pane, due.end // pane)
            panes = [found for p in ordinals if (found := self.state.panes.get((version, p))) is not None]
            self.windows[key] = window_of(panes, due.epoch.parameters)
        return self.windows[key]

    def _evidence(self, live: Window, due: Due, subject: Subject) -> tuple[Evidence, str, bytes]:
        names = parts_read(REGISTRY[due.rule.metric], subject)
        key = (id(live), names)
        if key not in self.evidence:
            evidence = evidence_of(live, names)
            blob = evidence.to_bytes()
            self.evidence[key] = (evidence, digest(blob), blob)
        return self.evidence[key]

    def _rungs(
        self, version: str, due: Due, subject: Subject, measurement: Measurement, evidence: str, pending: Pending
    ) -> list[VerdictRow]:
        """Return the rows of a subject's rungs that are news: verdict or reason changed, or final."""
        value, low, high = None, None, None
        if isinstance(measurement, Measured):
            value, low, high = measurement.value, measurement.low, measurement.high
        rows = []
        for severity, condition in due.rule.rungs:
            verdict, reason = decide(measurement, condition)
            name = f"{severity}|{subject.key}"
            revision, *said = pending.given.get(name, (0, "", ""))
            if not due.final and said == [verdict.value, reason.value]:
                continue
            pending.given[name] = (revision + 1, verdict.value, reason.value)
            key = VerdictKey(self.judge.model, version, due.policy.name, due.rule.alert, severity, subject, due.start, due.end)
            rows.append(
                VerdictRow(
                    key=key,
                    revision=revision + 1,
                    final=due.final,
                    due_at=self.due_at,
                    verdict=verdict,
                    reason=reason,
                    value=value,
                    low=low,
                    high=high,
                    threshold=condition,
                    n=measurement.n,
                    metric=due.rule.metric,
                    detail=measurement.detail,
                    evidence=evidence,
                )
            )
        return rows

    def _alerts(self, due: Due, subject: Subject, rows: list[VerdictRow], after: Effects, settled_until: int) -> list[VerdictRow]:
        """Fold what was judged into the alerts; return the rows with the alert each belongs to."""
        if not rows or due.policy.spec.mode == "observe":
            return rows
        rule, policy, out = due.rule, due.policy, []
        opens, closes = policy.open_after_of(rule), policy.close_after_of(rule)
        for row in rows:
            key = AlertKey(row.key.model, row.key.version, policy.name, rule.alert, row.key.severity, subject)
            point = _point(row, signal_of(row.verdict))
            track = self._refold(key, due, point, (opens, closes, settled_until), after)
            alert = track.alert_of(due.end)
            out.append(row if alert is None else replace(row, alert_id=alert))
        if rule.on_unknown is not None:
            row = rows[0]
            key = AlertKey(row.key.model, row.key.version, policy.name, rule.alert, rule.on_unknown.alert, subject, "unknown")
            point = _point(row, unknown_signal(row.verdict, row.reason, row.final))
            self._refold(key, due, point, (rule.on_unknown.after, 1, settled_until), after)
        return out

    def _refold(self, key: AlertKey, due: Due, point: Point, counts: tuple[int, int, int], after: Effects) -> Track:
        opens, closes, settled_until = counts
        track, moves = refold(
            self.memory.tracks.get(key, Track()), key, [point], open_after=opens, close_after=closes, settled_until=settled_until
        )
        self.memory.tracks[key] = track
        if moves:
            self._follow(key, due.rule, due.policy, moves, after, self._context(key, due))
            self._group_tables(key, due, moves, after)
        return track

    def _follow(
        self,
        key: AlertKey,
        rule: Rule,
        policy: PolicyFile,
        moves: Sequence[Transition],
        after: Effects,
        context: RetrainContext,
    ) -> None:
        effects, requests = consequences(
            moves, key=key, rule=rule, policy=policy, due_at=self.due_at, requests=self.memory.requests, context=context
        )
        self.memory.requests = dict(requests)
        after.extend(effects)

    def _context(self, key: AlertKey, due: Due) -> RetrainContext:
        live = self._window(key.version, due)
        coverage = live.labelled / live.predictions if live.predictions else 0.0
        broken = any(
            track.current is not None
            and track.current.state is AlertState.FIRING
            and other.severity == "error"
            and other.version == key.version
            and (found := self._rule_of(other)) is not None
            and found[1].metric in BROKEN_INPUT
            for other, track in self.memory.tracks.items()
        )
        return RetrainContext(
            broken_input=broken,
            immature_labels=coverage < least_coverage(due.rule.require),
            is_champion=key.version == due.epoch.model.counted_version(None),
        )

    def _group_tables(self, key: AlertKey, due: Due, moves: Sequence[Transition], after: Effects) -> None:
        """Keep the groups' table with a fairness alert that opens."""
        opened = [m.episode for m in moves if m.kind in {Kind.FIRING, Kind.RAISED_LATE}]
        if not opened or REGISTRY[due.rule.metric].family != "fairness" or key.condition != "threshold":
            return
        live, name = self._window(key.version, due), key.subject.by or ""
        if {f"labels/{name}", f"outcome/{name}"} & live.changed:
            return
        table = self.judge.group_table(live.parameters, name, live.part(f"labels/{name}"), live.part(f"outcome/{name}"))
        for episode in opened:
            body = {
                "alert_id": episode.id,
                "by": name,
                "window": {"start": format_time(due.start), "end": format_time(due.end)},
                "due_at": format_time(self.due_at),
                "groups": table,
            }
            id_ = short_id("group-table", episode.id, str(self.due_at))
            after.records.append(Record(f"decisions/{key.model}", "group-table", id_, key.model, body))

    def _record(self, version: str, span: _Span, due: Due, rows: list[VerdictRow]) -> None:
        start, end = span
        model, policy, epoch = self.judge.model, due.policy.name, due.epoch
        id_ = short_id("verdicts", model, version, policy, str(start), str(end), str(self.due_at))
        said = [row.to_json() for row in rows]
        body = {
            "policy": policy,
            "version": version,
            "window": {"start": format_time(start), "end": format_time(end)},
            "due_at": format_time(self.due_at),
            "final": due.final,
            "digests": {
                "model": epoch.model_digest,
                "policy": epoch.policy_digests[policy],
                "reference": epoch.reference_digest,
            },
            "method": METHOD,
            "rows": said,
        }
        if self.state.offsets:
            body["offsets"] = dict(self.state.offsets)
        self.effects.records.append(Record(f"decisions/{model}", "verdicts", id_, model, body))
        self.effects.verdicts += [
            VerdictEntry(
                said[position]["id"], row.revision, row.final, model, version, policy, row.key.rule, row.key.severity,
                row.key.subject.key, start, end, self.due_at, row.verdict.value, row.reason.value, id_, position,
            )
            for position, row in enumerate(rows)
        ]  # fmt: skip

    def close_removed(self, version: str) -> None:
        """Close, as stale, alerts that no rule judges any longer at this instant: rule, rung or subject is gone."""
        held = set(alert_keys(self.judge.model, version, self.timeline.at(self.due_at)))
        self.close([key for key in self.memory.tracks if key.version == version and key not in held])

    def retire(self, version: str) -> None:
        """Close, as stale, alerts of a version whose predictions have stopped.

        In a replay only other versions' predictions show that time has passed: the end of a recording is no silence.
        """
        spec = self.timeline.latest.model.spec
        last = self._shown_until(version)
        now = self.due_at if spec.clock == "live" else self._shown_until(None)
        if last is None or now is None or now < last + spec.retire_after or self.memory.retired.get(version) == last:
            return
        self.memory.retire(version, last)
        self.close([key for key in self.memory.tracks if key.version == version])

    def _shown_until(self, version: str | None) -> int | None:
        """Return the end of the newest pane with predictions that began before now, of a version or of any.

        What was counted since is not looked at: a judge that comes late must decide as one that came in time.
        """
        pane = self.timeline.latest.spans.pane_ms
        shown = (
            (ordinal + 1) * pane
            for (name, ordinal), found in self.state.panes.items()
            if (version is None or name == version) and ordinal * pane < self.due_at and found.predictions
        )
        return max(shown, default=None)

    def close(self, keys: list[AlertKey]) -> None:
        """Close alerts as stale."""
        for key in keys:
            track, moves = close_stale(self.memory.tracks[key], key, self.due_at)
            if track is self.memory.tracks[key]:
                continue
            self.memory.tracks[key] = track
            self.memory.touched.add((key.version, key.policy))
            found = self._rule_of(key)
            if moves and found is not None:
                policy, rule = found
                self._follow(key, rule, policy, moves, self.effects, RetrainContext())

    def _rule_of(self, key: AlertKey) -> tuple[PolicyFile, Rule] | None:
        """Return the newest text of the rule that an alert is of, of those that have its rung."""
        for epoch in reversed(self.timeline.epochs):
            policy = epoch.policies.get(key.policy)
            for rule in policy.spec.rules if policy else ():
                has_rung = rule.on_unknown is not None if key.condition == "unknown" else key.severity in dict(rule.rungs)
                if policy is not None and rule.alert == key.rule and has_rung:
                    return policy, rule
        return None


def _point(row: VerdictRow, signal: Signal) -> Point:
    key = row.key
    return Point(
        key.window_start, key.window_end, signal, row.value, row.low, row.high, row.n, row.threshold.threshold, row.reason.value
    )
