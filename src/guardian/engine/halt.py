"""Stopping to read a partition whose log is not the one that was counted, and going on when an operator says so.

A partition is halted when its log ends before what is counted of it, or when the record before the next one is another than was
counted. Either means that offsets now name other events. Halting is audited and alerted in one transaction; nothing is read until
an operator has looked and resumes it. Events that retention removed before they were counted are told of in the same way, and the
partition goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardian.canonical import short_id
from guardian.effects import AlertWrite, Announcement, Record
from guardian.engine.fates import FencedError
from guardian.errors import NotFoundError
from guardian.pipeline.consequences import ALERT_TOPIC, ALERT_TYPE
from guardian.units import format_time

if TYPE_CHECKING:
    from guardian.effects import Effects
    from guardian.engine.ports import Claim, Partition, Store

RUNNING: Final = "running"
HALTED: Final = "halted"
UNKNOWN_TAIL: Final = "unknown"  # Stored where the record before the next one cannot be told from another.
POLICY: Final = "guardian"  # Of alerts about guardian's own working, which no policy file asks for.
LOG_REASON: Final = "log"  # Of such alerts: the log is not what it was.


def halt(store: Store, claim: Claim, why: str, at: int) -> None:
    """Mark a partition halted, with an audit record and an alert. Raises FencedError when the claim is stale."""
    body = {"offset": claim.next_offset, "why": why}
    with store.begin() as transaction:
        if not transaction.advance(claim, claim.next_offset, ""):
            raise FencedError(f"the claim on {name_of(claim.partition)} is stale", hint="claim the partition again")
        transaction.set_status(claim.partition, HALTED)
        transaction.append_records([_record(claim.partition, "halted", body, at)], at)
        write, said = _alert(claim.partition, "LogHalted", why, claim.next_offset, ("firing", at, None))
        transaction.put_alerts([write])
        transaction.announce([said], at)


def resume(store: Store, partition: Partition, by: str, note: str, at: int) -> None:
    """Let a halted partition be read again, from where counting stands; whatever the record before it is then is accepted.

    Raises NotFoundError where the partition is not halted.
    """
    with store.begin() as transaction:
        (standing,) = transaction.lock([partition])
        claim = standing.claim
        if standing.status != HALTED:
            raise NotFoundError(f"{name_of(partition)} is not halted", hint="guardian topics check shows which partitions are")
        transaction.advance(claim, claim.next_offset, UNKNOWN_TAIL)
        transaction.set_status(partition, RUNNING)
        body = {"offset": claim.next_offset, "by": by, "note": note}
        transaction.append_records([_record(partition, "resumed", body, at)], at)
        write, said = _alert(partition, "LogHalted", f"resumed by {by}: {note}", claim.next_offset, ("resolved", at, at))
        transaction.put_alerts([write])
        transaction.announce([said], at)


def tell_lost(effects: Effects, partition: Partition, lost: tuple[int, int], at: int) -> None:
    """Add to what lands that events [from, to) of a partition were gone before they were counted."""
    begin, end = lost
    why = f"{end - begin:,} offsets, {begin} to {end - 1}, were removed from {name_of(partition)} before they were counted"
    write, said = _alert(partition, "EventsLost", why, begin, ("firing", at, None))
    effects.alerts.append(write)
    effects.announcements.append(said)


def gap_record(partition: Partition, gap: tuple[int, int], reason: str) -> Record:
    """Return the record of offsets [from, to) that the log does not hold."""
    begin, end = gap
    id_ = short_id("gap", partition.topic, str(partition.number), str(begin), str(end))
    body = {"from_offset": begin, "to_offset": end, "reason": reason}
    return Record(f"intake/{partition.number}", "gap", id_, "", body)


def name_of(partition: Partition) -> str:
    """Return a partition's name, as people read it."""
    return f"{partition.topic}/{partition.number}"


def _record(partition: Partition, kind: str, body: dict[str, Any], at: int) -> Record:
    id_ = short_id(kind, partition.topic, str(partition.number), str(body["offset"]), str(at))
    return Record(f"intake/{partition.number}", kind, id_, "", body)


def _alert(
    partition: Partition, rule: str, summary: str, offset: int, state: tuple[str, int, int | None]
) -> tuple[AlertWrite, Announcement]:
    """Return the row and the announcement of an alert about a partition; it is one alert while it is about one offset."""
    said, started, ended = state
    id_ = short_id("alert", rule, partition.topic, str(partition.number), str(offset))
    at = started if ended is None else ended
    window = {"start": format_time(started), "end": format_time(started)}
    row: dict[str, Any] = {
        "id": id_, "model": "", "version": "", "policy": POLICY, "rule": rule, "severity": "error", "metric": "",
        "subject": {"partition": name_of(partition)}, "condition": "threshold", "state": said,
        "started_at": format_time(started), "ended_at": None if ended is None else format_time(ended),
        "first_window": window, "last_window": window, "value": None, "interval": None, "threshold": None, "n": 0,
        "reason": LOG_REASON, "summary": summary, "replaces": [], "stale": False,
        "labels": {}, "annotations": {"summary": summary},
    }  # fmt: skip
    write = AlertWrite(id_, "", "", POLICY, rule, "error", name_of(partition), said, started, started, row)
    data = {**row, "transition": said, "due_at": format_time(at)}
    about = f"{POLICY}/{rule}/{name_of(partition)}"
    return write, Announcement(ALERT_TOPIC, "", ALERT_TYPE, short_id("alert", id_, said, str(at)), about, at, data)
