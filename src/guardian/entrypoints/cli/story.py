"""What a run found, told in words: what fired and why, what stayed quiet, what could not be judged.

Takes rows as `guardian get` prints them. Gives lines. Never: computes anything but counts of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Row = dict[str, Any]

WHY: Final = {
    "no-data": "no predictions in the window",
    "no-reference": "no reference to compare with",
    "no-labels": "no labels",
    "no-score": "the model gives no score",
    "one-class": "only one class among the labels",
    "groups-too-small": "fewer than two groups are large enough",
    "too-few-rows": "too few rows",
    "immature-labels": "too few labels had arrived",
    "parameters-changed": "the window spans a change of the model file",
    "not-defined": "the metric is not defined there",
    "interval-straddles-threshold": "the interval straddles the threshold, so the sample cannot tell",
    "cells-too-small": "some cells are too small to be sure",
}


def tell(model: str, verdicts: Iterable[Mapping[str, Any]], alerts: Sequence[Row], requests: Sequence[Row]) -> Iterator[str]:
    """Tell one model's story: its final verdicts, its alerts, and what was asked for."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict["policy"], verdict["rule"]].append(verdict)
    fired = [a for a in alerts if a["state"] in {"firing", "resolved"}]
    loud = {(a["policy"], a["rule"], a["severity"]) for a in fired}
    yield from _fired(model, fired)
    yield from _quiet(groups, loud)
    yield from _open(groups)
    yield from _asked(requests, alerts)


def _fired(model: str, fired: Sequence[Row]) -> Iterator[str]:
    yield "  What fired, and why"
    if not fired:
        yield f"    nothing: no alert on {model}"
    for alert in sorted(fired, key=lambda a: (a["started_at"], a["severity"], a["summary"])):
        until = f"to {alert['ended_at'][:10]}" if alert["ended_at"] else "still firing"
        yield f"    {alert['severity']:5} {alert['started_at'][:10]} {until:14} {alert['summary']}{_interval(alert)}"


def _interval(row: Mapping[str, Any]) -> str:
    if row["interval"] is None:
        return ""
    low, high = row["interval"]
    return f"; 95 % interval [{low:.3g}, {high:.3g}], n = {row['n']:,}"


def _quiet(groups: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], loud: set[tuple[str, str, str]]) -> Iterator[str]:
    yield "  What stayed quiet"
    for (policy, rule), rows in sorted(groups.items()):
        silent = [r for r in rows if (policy, rule, r["severity"]) not in loud]
        if not silent:
            continue
        rungs = "/".join(sorted({r["severity"] for r in silent}, reverse=True))
        subjects = len({str(r["subject"]) for r in silent})
        windows = len({r["window"]["end"] for r in silent})
        counts = Counter(r["verdict"] for r in silent)
        said = ", ".join(f"{n:,} {verdict}" for verdict, n in counts.most_common())
        over = f"{subjects} subjects x {windows} windows" if subjects > 1 else f"{windows} windows"
        yield f"    {policy} {rule} ({rungs}): {over}: {said}"


def _open(groups: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    yield "  What could not be judged, and why"
    found = False
    for (policy, rule), rows in sorted(groups.items()):
        counts = Counter((r["verdict"], r["reason"]) for r in rows if r["verdict"] in {"unknown", "inconclusive"})
        for (verdict, reason), n in counts.most_common():
            found = True
            yield f"    {policy} {rule}: {n:,} of {len(rows):,} verdicts {verdict}: {WHY.get(reason, reason)}"
    if not found:
        yield "    nothing: every verdict is clear"


def _asked(requests: Sequence[Row], alerts: Sequence[Row]) -> Iterator[str]:
    yield "  What is asked for"
    if not requests:
        yield "    nothing"
    names = {a["id"]: f"{a['rule']} ({a['severity']}, since {(a['started_at'] or '')[:10]})" for a in alerts}
    for request in requests:
        because = ", ".join(names.get(id_, id_) for id_ in request["alert_ids"])
        why = f", {request['reason']}" if request["reason"] else ""
        yield f"    retraining {request['state']}{why} on {request['proposed_at'][:10]}, because of {because}; id {request['id']}"
