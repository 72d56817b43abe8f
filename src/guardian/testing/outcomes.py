"""What a database holds when everything is counted and judged, as one value: two engines' outcomes are compared whole.

Left out is what may differ between runs that are both right: when things were written down, revisions before the final one, and
alerts that were retracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guardian.adapters.sql.audit_log import SqlAuditLog
from guardian.adapters.sql.reader import Filter, Reader
from guardian.audit.chain import parse_record
from guardian.audit.verify import verify
from guardian.panes.pane import Sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.adapters.sql.store import SqlStore
    from guardian.engine.ports import Partition

ALERT_FACTS = ("state", "first_window", "last_window", "started_at", "ended_at", "value", "interval", "threshold", "n", "reason")
VERDICT_FACTS = ("verdict", "reason", "value", "interval", "threshold", "n", "detail", "digests", "due_at")


@dataclass(frozen=True)
class Outcome:
    """What was come to.

    Attributes:
        panes: By model, version, start, space and parameters, the merged counts of all partitions.
        finals: Final verdicts by id.
        alerts: Alerts that stand, by identity and first window.
        proposals: First windows of the alerts that stand for which a retraining was proposed, by identity.
        fates: Intake counters over all partitions and panes, by model and fate.
    """

    panes: Mapping[tuple[Any, ...], bytes]
    finals: Mapping[str, dict[str, Any]]
    alerts: Mapping[tuple[Any, ...], dict[str, Any]]
    proposals: frozenset[tuple[Any, ...]]
    fates: Mapping[tuple[str, str], int]

    def differences(self, other: Outcome) -> list[str]:
        """Return a line for everything in which two outcomes differ, at most a few of each kind; none when they are equal."""
        out = []
        for name in ("panes", "finals", "alerts"):
            mine, theirs = getattr(self, name), getattr(other, name)
            keys = [key for key in sorted(mine.keys() | theirs.keys(), key=str) if mine.get(key) != theirs.get(key)]
            out += [f"{name} {key}: {_differing(mine.get(key), theirs.get(key))}" for key in keys[:3]]
            out += [f"{name}: {len(keys)} differ of {len(mine)} and {len(theirs)}"] if keys else []
        if self.proposals != other.proposals:
            out.append(f"proposals: {sorted(self.proposals ^ other.proposals, key=str)[:3]} are on one side only")
        return out


def outcome_of(store: SqlStore, partitions: list[Partition]) -> Outcome:
    """Read the outcome of a database whose log has these partitions."""
    reader = Reader(store.database)
    alerts = {row["id"]: row for row in reader.alerts(Filter(everything=True)) if row["state"] != "retracted" and row["model"]}
    asked = {alert for row in reader.retraining(Filter()) for alert in row["alert_ids"]}
    return Outcome(
        panes=_panes(store, partitions),
        finals={
            row["id"]: {name: row[name] for name in VERDICT_FACTS}
            for row in reader.verdicts(Filter(everything=True))
            if row["final"]
        },
        alerts={_identity(row): {name: row[name] for name in ALERT_FACTS if name in row} for row in alerts.values()},
        proposals=frozenset(_identity(row) for id_, row in alerts.items() if id_ in asked),
        fates=_fates(store, partitions),
    )


def tiling(store: SqlStore, partitions: list[Partition]) -> list[str]:
    """Return what is wrong with the audit log and with how its records tile the partitions; nothing when all is well."""
    log = SqlAuditLog(store.database)
    with log.snapshot():
        report = verify(log.rows(), heads=log.heads())
        out = [str(finding) for finding in report.findings]
        ends = dict.fromkeys((p.number for p in partitions), 0)
        for number in ends:
            for row in log.rows(f"intake/{number}"):
                record = parse_record(row.body_bytes)
                if record["kind"] not in {"coverage", "gap"}:
                    continue
                body = record["body"]
                if body["from_offset"] != ends[number]:
                    out.append(f"partition {number}: {ends[number]} is followed by {body['from_offset']}")
                ends[number] = body["to_offset"]
    for partition in partitions:
        if (stands := store.position(partition).next_offset) != ends[partition.number]:
            out.append(f"partition {partition.number}: counted up to {stands}, covered up to {ends[partition.number]}")
    return out


def _panes(store: SqlStore, partitions: list[Partition]) -> dict[tuple[Any, ...], bytes]:
    merged: dict[tuple[Any, ...], Sparse] = {}
    for partition in partitions:
        for write in store.load(partition).panes:
            key = (write.model, write.version, write.start, write.space, write.parameters)
            merged[key] = merged.get(key, Sparse.zero()).merge(Sparse.from_bytes(write.blob))
    return {key: vector.to_bytes() for key, vector in merged.items() if len(vector.cells)}


def _fates(store: SqlStore, partitions: list[Partition]) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for partition in partitions:
        for fates in store.load(partition).fates:
            for name, n in fates.counts.items():
                counted[fates.model, name] = counted.get((fates.model, name), 0) + n
    return {key: n for key, n in counted.items() if n}


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    subject = tuple(sorted(row["subject"].items()))
    names = ("model", "version", "policy", "rule", "severity")
    return (*(row[name] for name in names), subject, row["first_window"]["end"])


def _differing(mine: Any, theirs: Any) -> Any:
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return f"{'there' if mine is not None else 'missing'} and {'there' if theirs is not None else 'missing'}"
    return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}
