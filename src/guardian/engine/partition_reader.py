"""One claimed partition of a fleet's log: what is read of it, what waits to be counted, and how a step lands.

Takes records in any order a broker's client may deliver them in. Gives offsets to read from. Everything it holds may be dropped
at any moment: nothing was acknowledged to anybody, and what landed is in the store.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from guardian.effects import Effects, StateWrite
from guardian.engine.continuity import Answer, admit
from guardian.engine.counting import Batch, Counting
from guardian.engine.coverage import digest_of_records, tail_of
from guardian.engine.fates import Fate, FencedError, fate_of
from guardian.engine.halt import HALTED, UNKNOWN_TAIL, gap_record, halt, name_of, tell_lost
from guardian.engine.land import land
from guardian.engine.narrowing import Narrowing
from guardian.errors import GuardianError, InvalidStateError
from guardian.events.dead_letter import Problem
from guardian.events.pairs import STATE_NAME, Pairs
from guardian.events.parts import JsonPart
from guardian.events.reasons import Reason
from guardian.events.unwrap import Unwrapped, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guardian.catalog.model_file import ModelFile
    from guardian.engine.ports import Claim, LogRecord, Partition, Standing, Store
    from guardian.events.placement import Placement

HELD_BYTES_MAX: Final = 64 << 20  # Of one partition's records that wait; then no more are wanted.
STEP_BYTES_MAX: Final = 32 << 20  # About so many bytes of records are counted in one transaction.
AGAIN_AFTER_MS: Final = 5_000  # How long a fenced reader waits before it claims again, and a halted one before it looks again.
UNTOLD: Final = 1 << 62  # The end of a log that was not looked at just now.
MARKER: Final = 1  # Offsets that the end of a producer's transaction takes; a longer gap is audited.


@dataclass(frozen=True, slots=True)
class Pace:
    """How many records a step takes, and how long a batch may wait to fill, milliseconds."""

    batch_records: int
    wait_ms: int


@dataclass
class _Run:
    """Records of consecutive offsets, and the gap [from, to) before them."""

    gap: tuple[int, int] | None
    records: list[LogRecord] = field(default_factory=list)


class PartitionReader:
    """Reads and counts one partition. Not for several threads."""

    def __init__(
        self,
        store: Store,
        partition: Partition,
        owner: str,
        *,
        pace: Pace,
        now: Callable[[], int],
        placement: Placement | None = None,
    ) -> None:
        self._store, self._partition, self._pace, self._now, self._placement = store, partition, pace, now, placement
        self.counting = Counting(store, partition, owner, now=now)
        self._models: dict[str, ModelFile] = {}
        self._pairs = Pairs(self._models)
        self._narrowing = Narrowing()
        self._unreadable: set[int] = set()
        self._status = "free"
        self._stale = False
        self._look_at = 0
        self._known = (0, 0)
        self.quiet_since = now()
        self.counted = 0
        self._forget()

    def _forget(self) -> None:
        self._runs: deque[_Run] = deque()
        self._bytes = 0
        self._since: int | None = None
        self._reread: tuple[int, int] | None = None
        self._proof = ""

    @property
    def claim(self) -> Claim:
        """What the next step is counted under."""
        return self.counting.claim

    @property
    def is_reading(self) -> bool:
        """Whether the partition is claimed and may be read."""
        return self._status == "claimed"

    @property
    def wants(self) -> bool:
        """Whether more records may be delivered."""
        return self.is_reading and bool(self.counting.held) and self._bytes < HELD_BYTES_MAX

    @property
    def waiting(self) -> int:
        """Records that wait to be counted."""
        return sum(len(run.records) for run in self._runs)

    def take(self, earliest: int, end: int) -> int | None:
        """Claim the partition, whose log holds [earliest, end); return the offset to read from, None where it is halted."""
        self._forget()
        self._status, self._known = "free", (earliest, end)  # And so it stays where the database is away: `work` takes it again.
        self.quiet_since = self._look_at = self._now()
        self._standing()  # A partition that was added to the log has none, and must not be given one.
        claim = self._store.claim(self._partition, self.counting.owner)
        standing = self._standing()
        self._load(claim)
        if standing.status == HALTED:
            self._status, self._look_at = HALTED, self._now() + AGAIN_AFTER_MS
            return None
        self._status = "claimed"
        try:
            return self._begin(standing.tail, earliest, end)
        except FencedError:
            self._fence()
            return None

    def _fence(self) -> None:
        """Leave the partition to whoever claimed it, and look again later."""
        self._forget()
        self._status, self._look_at = "fenced", self._now() + AGAIN_AFTER_MS

    def _standing(self) -> Standing:
        for standing in self._store.standings(self._partition.topic):
            if standing.claim.partition == self._partition:
                return standing
        raise InvalidStateError(
            f"{name_of(self._partition)} was added to a log that is counted already",
            hint="the number of partitions cannot change, or an id's events meet no longer: begin a topic under a new prefix",
        )

    def _begin(self, tail: str, earliest: int, end: int) -> int | None:
        expected = self.claim.next_offset
        if end < expected:
            self._halt(f"{name_of(self._partition)} ends at offset {end}, and everything before {expected} was counted of it")
            return None
        if earliest > expected:
            self._skip(expected, earliest)
            return earliest
        self._proof = tail if tail not in {"", UNKNOWN_TAIL} and earliest < expected else ""
        return expected - 1 if self._proof else expected

    def _halt(self, why: str) -> None:
        halt(self._store, self.claim, why, self._now())
        self._forget()
        self._status, self._look_at = HALTED, self._now() + AGAIN_AFTER_MS

    def _skip(self, expected: int, earliest: int) -> None:
        """Pass over what retention removed: audited, and alerted unless nothing was ever counted of this log."""
        effects = Effects(records=[gap_record(self._partition, (expected, earliest), "retention")])
        if expected:
            tell_lost(effects, self._partition, (expected, earliest), self._now())
        self.counting.claim = land(self._store, self.claim, earliest, effects, self._now(), tail=UNKNOWN_TAIL)

    def lost(self, earliest: int, end: int) -> int | None:
        """Say that the offset to be read is not in the log, which holds [earliest, end); return where to read from."""
        return self.take(earliest, end) if self._status in {"claimed", "free"} else None

    def deliver(self, records: Sequence[LogRecord]) -> int | None:
        """Take records; return the offset to read from instead, or None to read on."""
        if not self.is_reading or not records:
            return None
        if self._proof:
            elsewhere = self._prove(records)
            if self._proof or not self.is_reading:
                return elsewhere
        while records:
            admission = admit(self._expected, records, self._reread)
            match admission.answer:
                case Answer.STALE:
                    return None
                case Answer.REREAD:
                    self._reread = admission.hole
                    return self._expected
            self._hold(records[admission.first : admission.last], admission.hole)
            records = records[admission.last :]
        return None

    def _prove(self, records: Sequence[LogRecord]) -> int | None:
        """Compare the record before the next one with the one that was counted, and halt the partition where it is another.

        Where it does not come even after reading again, the log has none at its offset, and is another log as well.

        Returns the offset to read from instead; the proof is asked for until it is given.
        """
        before = self.claim.next_offset - 1
        admission = admit(before, records, self._reread)
        match admission.answer:
            case Answer.STALE:
                return None
            case Answer.REREAD:
                self._reread = admission.hole
                return before
        if admission.hole is None and tail_of(records[admission.first]) == self._proof:
            self._proof, self._reread = "", None
            return None
        try:
            self._halt(f"the record at offset {before} of {name_of(self._partition)} is not the one that was counted")
        except FencedError:
            self._fence()
        return None

    @property
    def _expected(self) -> int:
        return self._runs[-1].records[-1].offset + 1 if self._runs else self.claim.next_offset

    def _hold(self, records: Sequence[LogRecord], gap: tuple[int, int] | None) -> None:
        if gap is not None or not self._runs:
            self._runs.append(_Run(gap))
        self._runs[-1].records.extend(records)
        self._bytes += _size(records)
        self._since = self._now() if self._since is None else self._since
        self._reread = None
        self.quiet_since = self._now()

    def work(self) -> tuple[bool, int | None]:
        """Count and land what is due.

        Returns whether the partition is to be read from elsewhere, and from where: None to stop reading it.
        """
        if not self.is_reading:
            return self._look()
        if self._stale or not self.counting.held:
            self._refresh()
        while self.is_reading and self._is_due():
            self._step()
        return False, None

    def _is_due(self) -> bool:
        if not self._runs or not self.counting.held:
            return False
        full = self.waiting >= self._pace.batch_records or self._bytes >= STEP_BYTES_MAX
        return full or self._now() >= (self._since or 0) + self._pace.wait_ms

    def _look(self) -> tuple[bool, int | None]:
        """Look again, after a while, whether a partition may be read that is not."""
        if self._now() < self._look_at:
            return False, None
        self._look_at = self._now() + AGAIN_AFTER_MS
        standing = self._standing()
        if standing.status == HALTED:
            return False, None
        earliest, _ = self._known
        return True, self.take(min(earliest, standing.claim.next_offset), UNTOLD)  # Where the log ends, `lost` says.

    def _refresh(self) -> None:
        """Load again what the store holds, unless somebody else has claimed the partition."""
        claim = self._store.position(self._partition)
        if claim.epoch != self.claim.epoch:
            self._fence()
            return
        if self._stale or claim.catalog != self.claim.catalog:
            self._load(claim)
            self._drop_counted()

    def _load(self, claim: Claim) -> None:
        self._stale = True  # Until all of it is loaded.
        stored = self.counting.load(claim)
        self._models = {name: held.timeline.reading for name, held in self.counting.held.items() if held.watched}
        blob = next((write.blob for write in stored.states if (write.model, write.name) == ("", STATE_NAME)), None)
        self._pairs = Pairs(self._models) if blob is None else Pairs.from_bytes(blob, self._models)
        self._stale = False

    def _drop_counted(self) -> None:
        """Drop waiting records that a step landed although its reply was lost."""
        for run in self._runs:
            run.records = [record for record in run.records if record.offset >= self.claim.next_offset]
            run.gap = None if run.gap is None or run.gap[0] < self.claim.next_offset else run.gap
        self._runs = deque(run for run in self._runs if run.records)
        self._account()

    def _account(self) -> None:
        self._bytes = sum(_size(run.records) for run in self._runs)
        self._since = self._now() if self._runs else None

    def _step(self) -> None:
        run = self._runs[0]
        records = self._next(run)
        try:
            batch, effects = self._count(run.gap, records)
        except GuardianError as error:
            self._failed(error, len(records))
            return
        except Exception as error:  # What one record does must not end every worker that is given the partition.
            self._set_aside(error, records)
            return
        try:
            claim = land(self._store, self.claim, batch.next_offset, effects, self._now(), tail=tail_of(records[-1]))
        except GuardianError as error:
            self._failed(error, len(records))
            return
        self.counted += claim.next_offset - self.claim.next_offset
        self.counting.claim, self._stale = claim, False
        self._narrowing.reset()
        self._unreadable.clear()
        run.records = run.records[len(records) :]
        run.gap = None
        if not run.records:
            self._runs.popleft()
        self._bytes = self._bytes - _size(records) if self._runs else 0
        self._since = self._now() if self._runs else None
        self.quiet_since = self._now()

    def _next(self, run: _Run) -> list[LogRecord]:
        """Return the records that the next step takes."""
        records = run.records[: self._narrowing.limit or self._pace.batch_records]
        size = 0
        if self._bytes > STEP_BYTES_MAX:
            for place, record in enumerate(records):
                size += len(record.value or b"")
                if size > STEP_BYTES_MAX:
                    return records[: max(place, 1)]
        return records

    def _set_aside(self, error: Exception, records: Sequence[LogRecord]) -> None:
        """Find the record because of which counting failed in a way that nobody foresaw; raise `error` where it is none."""
        if not self._narrowing.narrow(records[0].offset, len(records)):
            raise error
        if len(records) == 1:
            self._unreadable.add(records[0].offset)
        self._stale = True
        self._refresh()

    def _failed(self, error: GuardianError, taken: int) -> None:
        """Do what follows from a step that did not land."""
        self._stale = True
        match fate_of(error):
            case Fate.RETRY if isinstance(error, FencedError):
                self._refresh()
            case Fate.DEAD_LETTER if self._narrowing.narrow(self.claim.next_offset, taken):
                self._refresh()
            case _:
                raise error

    def _count(self, gap: tuple[int, int] | None, records: Sequence[LogRecord]) -> tuple[Batch, Effects]:
        self._stale = True
        found = self._read(records)
        long_gap = gap is not None and gap[1] - gap[0] > MARKER
        first = records[0].offset if gap is None or long_gap else gap[0]
        batch = Batch(
            first_offset=first,
            next_offset=records[-1].offset + 1,
            parts=found.parts,
            offsets=found.offsets,
            rows=found.rows,
            received=found.times,
            digest=digest_of_records(records),
        )
        effects = self.counting.count(batch, None, self._narrowing.buried - self._unreadable, self._placement)
        if gap is not None and long_gap:
            effects.records.insert(0, gap_record(self._partition, gap, "hole"))
        if self._pairs.touched:
            effects.states.append(StateWrite("", STATE_NAME, self._pairs.to_bytes()))
        return batch, effects

    def _read(self, records: Sequence[LogRecord]) -> Unwrapped:
        if records[0].offset not in self._unreadable:
            return unwrap(records, self._pairs)
        (record,) = records
        problem = Problem(Reason.UNREADABLE, "$", "Reading it failed in a way that was not foreseen: report it with the record.")
        place, zero = np.array([record.offset], np.int64), np.zeros(1, np.int64)
        return Unwrapped([JsonPart(0, [record.value or b""], {0: problem})], place, zero, np.array([record.timestamp], np.int64))

    def tick(self, kind: str, clocks: Mapping[str, int | None]) -> None:
        """Move clocks on by positioned records, and land that; nothing happens where the partition is not read."""
        if not self.is_reading or self._stale:
            return
        known = {name: clock for name, clock in clocks.items() if name in self.counting.held}
        try:
            self._stale = True
            effects = self.counting.tick(kind, known, None)
            if effects != Effects():
                self.counting.claim = land(self._store, self.claim, self.claim.next_offset, effects, self._now())
            self._stale = False
        except GuardianError as error:
            self._failed(error, 0)


def _size(records: Sequence[LogRecord]) -> int:
    return sum([len(record.value or b"") for record in records])
