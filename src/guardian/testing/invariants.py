"""What must hold of a fleet's database after every step of whatever happens to it: one checker for every test that breaks it.

* One writer: who lands is who claimed last; epochs and catalogs rise, positions never fall.
* Continuity: coverage and gap records tile each partition up to its position; every coverage record says what a life of the log
  held there, and every gap is where the log had nothing, or had lost it.
* Identity: no partition goes from one life of its log to the next without having been halted, or a gap, while a record can tell.
* Atomicity and conservation: what is counted, with its dead letters, is what the covered records come to, fate by fate and pane
  by pane, by an oracle of its own.
* The outbox leaves in order and without a hole, nothing is marked that has not left, and a page is repeated only where its mark
  was not moved.
* What people decided stays decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from guardian.audit.chain import parse_record
from guardian.audit.verify import verify
from guardian.engine.halt import HALTED
from guardian.engine.outgoing import letter_mark
from guardian.engine.topics import CHECKPOINT_TYPE, DEADLETTER_TYPE, RECORD_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guardian.adapters.memory.store import MemoryStore, Tables
    from guardian.audit.leaf import Sealed
    from guardian.engine.ports import Claim, Partition, Standing
    from guardian.engine.relay import Parcel
    from guardian.testing.plain_counts import PlainCounts
    from guardian.testing.simulated_log import SimulatedLog, SimulatedRecord

OPERATOR = "operator"  # Writes against a position, and claims nothing.


class BrokenLawError(AssertionError):
    """Something happened that must not."""


def demand(holds: bool, what: str) -> None:
    """Raise BrokenLawError unless it holds.

    >>> demand(1 < 2, "numbers are in order")
    """
    if not holds:
        raise BrokenLawError(what)


@dataclass
class _Watched:
    """What is known of one partition of the log.

    Attributes:
        plain: The oracle of its intake counters.
        covered: Up to where its coverage records reach.
        life: The generation of the log that was counted last.
        may_change: Whether a gap or a resumption allows the next coverage to be of another life.
        halted: Whether its audit records say so.
        counted: Everything that was counted, in order.
    """

    plain: PlainCounts
    covered: int = 0
    life: int = 0
    may_change: bool = True
    halted: bool = False
    counted: list[SimulatedRecord] = field(default_factory=list)


class Laws:
    """Watches a store and checks it. Feed it what processes do, and call `check` after each step."""

    def __init__(
        self,
        store: MemoryStore,
        logs: Mapping[Partition, SimulatedLog],
        plain: Callable[[int], PlainCounts],
        *,
        exact: bool = True,
    ) -> None:
        """Watch a store.

        Args:
            store: The database.
            logs: What is counted.
            plain: Makes the oracle of a partition.
            exact: Whether the oracle knows what becomes of each event, or only how many there are: it knows no lateness.
        """
        self._store, self._logs, self._exact = store, logs, exact
        self.watched = {partition: _Watched(plain(partition.number)) for partition in logs}
        self._holders: dict[Partition, tuple[str, int]] = {}
        self._standings: dict[Partition, Standing] = {}
        self._read: dict[str, int] = {}
        self._tables: Tables | None = None
        self._sent: dict[str, int] = {}
        self._decided: dict[str, list[str]] = {}
        self._histories: dict[str, list[Any]] = {}
        self.sent_ids: set[str] = set()

    def saw_claim(self, process: str, claim: Claim) -> None:
        """A process claimed a partition."""
        _, epoch = self._holders.get(claim.partition, ("", 0))
        demand(claim.epoch > epoch, f"{claim.partition}: epoch {claim.epoch} was claimed after {epoch}")
        self._holders[claim.partition] = process, claim.epoch

    def saw_landing(self, process: str, claim: Claim) -> None:
        """A transaction of a process moved a partition from a claim on, and was committed."""
        before = self._standings.get(claim.partition)
        if before is not None:
            demand(claim.next_offset == before.claim.next_offset, f"{claim} landed at {before.claim.next_offset}")
        if process != OPERATOR:
            holder = self._holders.get(claim.partition)
            demand(holder == (process, claim.epoch), f"{process} landed {claim}, which {holder} holds")
        self._look_at_standings()

    def saw_sent(self, topic: str, parcels: Sequence[Parcel], marks: Mapping[str, int]) -> None:
        """Parcels were acknowledged by a topic; their sender had read `marks`."""
        for parcel in parcels:
            event = msgspec.json.decode(parcel.value)
            stream, place, gapless = _place(event, topic)
            known = self._sent.get(stream)
            demand(place > marks.get(stream, -1), f"{stream}: {place} left again, and is marked as gone")
            if gapless:
                first = 0 if event["type"] == RECORD_TYPE else 1
                demand(place <= (first - 1 if known is None else known) + 1, f"{stream}: {place} left after {known}")
            self._sent[stream] = place if known is None else max(known, place)
            self.sent_ids.add(event["id"])

    def saw_decision(self, request: str, state: str) -> None:
        """Somebody was told that a request is in a state."""
        self._decided.setdefault(request, []).append(state)

    def check(self) -> None:
        """Check everything that can be checked after a step. Raises BrokenLawError."""
        self._look_at_standings()
        for stream, mark in self._store.marks().items():
            left = self._sent.get(stream, -1)
            demand(mark <= left, f"{stream} is marked up to {mark}, and left up to {left}")
        if self._tables is self._store.tables:
            return
        self._tables = self._store.tables
        changed = {partition for partition in self.watched if self._follow(partition)}
        for partition in changed:
            self._count(partition)
        self._look_at_requests()

    def _look_at_standings(self) -> None:
        for partition, standing in self._store.tables.standings.items():
            before = self._standings.get(partition)
            if before is standing:
                continue
            if before is not None:
                new, old = standing.claim, before.claim
                risen = new.epoch >= old.epoch and new.catalog >= old.catalog and new.next_offset >= old.next_offset
                demand(risen, f"{old} became {new}")
            self._standings[partition] = standing

    def _follow(self, partition: Partition) -> bool:
        """Read what the partition's new intake records say; whether there are any."""
        watched, stream = self.watched[partition], f"intake/{partition.number}"
        begin = self._read.get(stream, 0)
        head = self._store.tables.heads.get(stream)
        size = 0 if head is None else head.size
        for seq in range(begin, size):
            self._intake(partition, watched, self._store.tables.records[stream, seq])
        self._read[stream] = size
        standing = self._store.tables.standings.get(partition)
        if standing is not None:
            at = standing.claim.next_offset
            demand(watched.covered == at, f"{partition} stands at {at}, and is covered up to {watched.covered}")
            demand(watched.halted == (standing.status == HALTED), f"{partition} is {standing.status}")
        return size > begin

    def _intake(self, partition: Partition, watched: _Watched, record: Sealed) -> None:
        body = parse_record(record.body_bytes)["body"]
        match record.kind:
            case "coverage" | "gap":
                self._tile(partition, watched, record.kind, body)
            case "halted":
                demand(body["offset"] == watched.covered, f"{partition} was halted at {body['offset']}")
                watched.halted = True
            case "resumed":
                watched.halted, watched.may_change = False, True

    def _tile(self, partition: Partition, watched: _Watched, kind: str, body: Mapping[str, Any]) -> None:
        begin, end = body["from_offset"], body["to_offset"]
        demand(begin == watched.covered and end > begin, f"{partition}: {kind} [{begin}, {end}) after {watched.covered}")
        demand(not watched.halted, f"{partition} was halted, and [{begin}, {end}) was counted")
        log = self._logs[partition]
        watched.covered = end
        if kind == "gap":
            lost = body["reason"] == "retention"
            lives = log.generations
            said = any(end <= life.earliest if lost else not life.between(begin, end) and end <= life.end for life in lives)
            demand(said, f"{partition}: the log has no such gap: {body}")
            watched.may_change = watched.may_change or lost
            return
        life = log.find(begin, end, body["count"], body["digest"])
        demand(life is not None, f"{partition}: no life of the log held what was counted at [{begin}, {end})")
        assert life is not None  # for mypy
        records = log.held(life, begin, end)
        demand(len(records) >= end - begin - 1, f"{partition}: [{begin}, {end}) has holes that no gap tells of")
        same = life == watched.life or self.may_differ(partition, life, begin)
        demand(same, f"{partition}: from life {watched.life} of the log to {life} at {begin}, unnoticed")
        watched.life, watched.may_change = life, False
        watched.counted += records
        watched.plain.take(records)

    def may_differ(self, partition: Partition, life: int, at: int) -> bool:
        """Whether nobody can tell that a life of a partition is not the one that was counted up to `at`.

        A gap or a resumption says so already; else the record before `at` tells, unless it was removed.
        """
        return self.watched[partition].may_change or self._logs[partition].generations[life].earliest >= at

    def _count(self, partition: Partition) -> None:
        """Compare what is counted with the oracle."""
        tables, plain = self._store.tables, self.watched[partition].plain
        fates = {key: n for (own, key), n in tables.fates.items() if own == partition and n}
        want = plain.fates()
        demand(sum(fates.values()) == sum(want.values()), f"{partition}: {sum(fates.values())} events have fates: {fates}")
        if self._exact:
            wrong = {key: (fates.get(key), want.get(key)) for key in fates.keys() | want if fates.get(key) != want.get(key)}
            demand(not wrong, f"{partition}: counted, and to be counted: {wrong}")
        letters = sum(1 for place in tables.dead_letters if place[0] == partition)
        demand(letters == plain.letters, f"{partition}: {letters} dead letters of {plain.letters}")

    def _look_at_requests(self) -> None:
        for write in self._store.tables.requests.values():
            steps = list(write.row["history"])
            before = self._histories.get(write.id, [])
            demand(steps[: len(before)] == before, f"request {write.id} was {before} and is {steps}")
            self._histories[write.id] = steps
        for request, states in self._decided.items():
            history = [step["state"] for step in self._histories.get(request, ())]
            demand(all(state in history for state in states), f"request {request} was {states} and its history is {history}")

    def check_all(self) -> None:
        """Check what takes longer: the whole audit log, and the outbox's sequences."""
        self.check()
        report = verify(self._store.rows(), heads=self._store.heads())
        demand(report.ok, f"the audit log: {report.first}")
        ends: dict[str, int] = {}
        for topic, seq in sorted(self._store.tables.outbox):
            demand(seq == ends.get(topic, 0) + 1, f"{topic}: {seq} after {ends.get(topic, 0)}")
            ends[topic] = seq

    def check_left(self) -> None:
        """Check that everything there is to send has left."""
        missing = self._store.tables.told.keys() - self.sent_ids
        demand(not missing, f"{len(missing)} announcements never left: {sorted(missing)[:3]}")
        for head in self._store.heads():
            demand(self._sent.get(f"audit/{head.stream}", -1) == head.size - 1, f"records of {head.stream} never left")
        for partition in self.watched:
            letters = [letter_mark(offset, row) for own, offset, row in self._store.tables.dead_letters if own == partition]
            left = self._sent.get(f"deadletter/{partition.topic}/{partition.number}", -1)
            demand(max(letters, default=-1) == left, f"{len(letters)} dead letters of {partition}, of which {left} left last")


def _place(event: Mapping[str, Any], topic: str) -> tuple[str, int, bool]:
    """Return the stream of something that left for a topic, its place there, and whether places are gapless."""
    data = event["data"]
    match event["type"]:
        case kind if kind == RECORD_TYPE:
            return f"audit/{data['stream']}", data["seq"], True
        case kind if kind == DEADLETTER_TYPE:
            return f"deadletter/{data['topic']}/{data['part']}", letter_mark(data["offset"], data["row"]), False
        case kind if kind == CHECKPOINT_TYPE:
            return f"checkpoint/{data['origin']}", data["size"], False
        case _:
            return f"outbox/{topic}", int(event["sequence"]), True
