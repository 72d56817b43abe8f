"""Which windows are due at an instant of a model's clock, for one rule and version.

A window is judged at its end plus lateness; for label rules again at the first pane boundary at which coverage has reached the
rule's minimum; finally at its end plus lateness plus horizon; and in between as often as `restate_every` says. A window that came
to exist later (an older or newer prediction arrived late) is judged at the next instant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from guardian.decisions.episodes import AlertKey
from guardian.decisions.verdict import least_coverage
from guardian.metrics.registry import REGISTRY
from guardian.panes.clock import first_pane, last_pane_end
from guardian.policies.load import subjects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardian.pipeline.epochs import Epoch, Timeline
    from guardian.pipeline.memory import RuleMemory
    from guardian.pipeline.state import Seen
    from guardian.policies.model import PolicyFile, Rule


@dataclass(frozen=True, slots=True)
class Due:
    """A window to be judged by a rule now."""

    start: int
    end: int
    rule: Rule
    policy: PolicyFile
    epoch: Epoch
    final: bool


class Traffic(NamedTuple):
    """A version's least and greatest prediction times, and up to where a tick makes windows although nothing came."""

    seen: Seen
    ticked: int


def applies(policy: PolicyFile, epoch: Epoch, version: str) -> bool:
    """Return whether a policy is about a version."""
    match policy.spec.match.versions:
        case "champion":
            return version == epoch.model.counted_version(None)
        case "all":
            return True
        case listed:
            return version in listed


def alert_keys(model: str, version: str, epoch: Epoch) -> Iterator[AlertKey]:
    """Yield every alert that an epoch's policies can make of a version."""
    for name, policy in epoch.policies.items():
        if policy.spec.mode == "observe" or not applies(policy, epoch, version):
            continue
        for rule in policy.spec.rules:
            for subject in subjects_of(rule, epoch.model, epoch.parameters.classes):
                for severity, _ in rule.rungs:
                    yield AlertKey(model, version, name, rule.alert, severity, subject)
                if rule.on_unknown is not None:
                    yield AlertKey(model, version, name, rule.alert, rule.on_unknown.alert, subject, "unknown")


def due_windows(
    timeline: Timeline,
    names: tuple[str, str, str],
    traffic: Traffic,
    memory: RuleMemory,
    at: int,
    coverage: Callable[[int, int], float],
) -> list[Due]:
    """Return the windows of one rule that are due at `at`, oldest first, and note in `memory` that they are.

    Args:
        timeline: Which policies hold when.
        names: Version, policy and rule.
        traffic: What is known of the version's traffic.
        memory: The rule's windows so far; changed in place.
        at: The instant.
        coverage: The label coverage of a window given by start and end.
    """
    spans = timeline.latest.spans
    gone = spans.lateness_ms + spans.horizon_ms
    found = {due.end: due for due in _new(timeline, names, traffic, memory, at - spans.lateness_ms)}
    for end in [end for end in (*memory.windows, *found) if end + gone <= at]:
        known = found.get(end) or _known(timeline, names, end)
        if known is not None:
            found[end] = replace(known, final=True)
    if at % spans.pane_ms == 0:
        for due in _revised(timeline, names, memory, at, coverage):
            found.setdefault(due.end, due)
    return [found[end] for end in sorted(found)]


def _revised(
    timeline: Timeline, names: tuple[str, str, str], memory: RuleMemory, at: int, coverage: Callable[[int, int], float]
) -> Iterator[Due]:
    """Yield windows to be judged again between their first and final revisions."""
    rules = [_rule(epoch, names) for epoch in timeline.epochs]
    waits = any(found and REGISTRY[found[1].metric].needs_labels for found in rules)
    restates = any(found and found[1].restate_every for found in rules)
    if not waits and not restates:
        return
    for end, pending in memory.windows.items():
        if pending.covered and not restates:
            continue
        known = _known(timeline, names, end)
        if known is not None and (_restated(known.rule, end, at) or _matured(known, memory, coverage)):
            yield known


def _new(timeline: Timeline, names: tuple[str, str, str], traffic: Traffic, memory: RuleMemory, until: int) -> Iterator[Due]:
    pane = timeline.latest.spans.pane_ms
    seen = traffic.seen
    first = first_pane(seen.first, pane)
    silence_ends = first_pane(seen.last + timeline.latest.model.spec.retire_after, pane)  # Where the version is retired.
    until = min(until, max(last_pane_end(seen.last, pane), min(traffic.ticked // pane * pane, silence_ends)))
    frontier = first if memory.frontier is None else memory.frontier
    older = memory.first is not None and first < memory.first
    if until <= frontier and not older:
        return
    low = first if older else frontier
    for due in _ends(timeline, names, low, until):
        if due.start >= first and due.end > memory.final_until and due.end not in memory.windows:
            yield due
    memory.frontier, memory.first = max(frontier, until), first


def _ends(timeline: Timeline, names: tuple[str, str, str], low: int, high: int) -> Iterator[Due]:
    """Yield the rule's windows that end in (low, high], each under the policy that holds at its end."""
    bounds = [*(epoch.effective_from for epoch in timeline.epochs[1:]), high]
    begin = low
    for epoch, until in zip(timeline.epochs, bounds, strict=True):
        stop = min(until, high)
        found = _rule(epoch, names)
        if found is not None and stop > begin:
            policy, rule = found
            every, window = policy.every_of(rule), policy.window_of(rule)
            for end in range((begin // every + 1) * every, stop + 1, every):
                yield Due(end - window, end, rule, policy, epoch, final=False)
        begin = max(begin, stop)


def _rule(epoch: Epoch, names: tuple[str, str, str]) -> tuple[PolicyFile, Rule] | None:
    version, policy_name, rule_name = names
    policy = epoch.policies.get(policy_name)
    if policy is None or not applies(policy, epoch, version):
        return None
    return next(((policy, rule) for rule in policy.spec.rules if rule.alert == rule_name), None)


def _known(timeline: Timeline, names: tuple[str, str, str], end: int) -> Due | None:
    epoch = timeline.at(end - 1)
    found = _rule(epoch, names)
    if found is None:
        return None
    policy, rule = found
    return Due(end - policy.window_of(rule), end, rule, policy, epoch, final=False)


def _restated(rule: Rule, end: int, at: int) -> bool:
    return bool(rule.restate_every) and (at - end) % (rule.restate_every or 1) == 0


def _matured(due: Due, memory: RuleMemory, coverage: Callable[[int, int], float]) -> bool:
    """Whether a label rule's window has reached its coverage at this pane boundary, for the first time."""
    if not REGISTRY[due.rule.metric].needs_labels or memory.windows[due.end].covered:
        return False
    return coverage(due.start, due.end) >= least_coverage(due.rule.require)
