"""The processes of a simulated fleet: what counts, with the client that reads the log for it, what judges, and what relays.

Each holds nothing that may not be lost: it is killed by dropping it. The client follows the reader as `adapters.kafka.consumer`
does, but delivers anything: copies, old records, nothing, the middle without the beginning, what it was told not to. Sent
elsewhere, it may go on from where it was before it obeys. It never makes up the same hole twice: nobody could tell that.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from guardian.engine.fates import FencedError, StoreBusyError
from guardian.engine.governor import Governor
from guardian.engine.lease import Holding
from guardian.engine.relay import LEASE, Relay
from guardian.errors import UnreachableError
from guardian.testing.simulated_log import OutOfRangeError
from guardian.testing.simulated_store import Connection, Crash

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from guardian.engine.fleet import Fleet
    from guardian.engine.governor import Rules
    from guardian.engine.ports import Partition
    from guardian.engine.relay import Parcel
    from guardian.testing.invariants import Laws
    from guardian.testing.simulated_log import SimulatedLog, SimulatedRecord
    from guardian.testing.simulated_store import Trouble

FETCHED: Final = 12  # Records of one delivery, at most.


@dataclass
class Mischief:
    """How likely a client does each, 0 to 1, instead of reading on."""

    copy: float = 0.06
    old: float = 0.06
    nothing: float = 0.03
    skip: float = 0.08
    ignore: float = 0.3
    unwanted: float = 0.1

    def cease(self) -> None:
        """Be a good client from now on."""
        self.copy = self.old = self.nothing = self.skip = self.ignore = self.unwanted = 0.0


@dataclass
class _Reading:
    """Where a client reads one partition.

    Attributes:
        at: The offset that it reads next; None where it was told not to read.
        seek: Where it was told to read from, and has not gone yet.
        honest: Whether the next records are read as they are: it has just obeyed.
        last: What the reader took last.
    """

    at: int | None
    seek: int | None = None
    honest: bool = True
    last: Sequence[SimulatedRecord] = ()


class CountingProcess:
    """A worker that counts: a `Fleet`, and the client that drives it."""

    def __init__(
        self, name: str, fleet: Fleet, logs: Mapping[Partition, SimulatedLog], rng: random.Random, mischief: Mischief
    ) -> None:
        self.name, self.fleet, self._logs, self._rng, self._mischief = name, fleet, logs, rng, mischief
        self.share: frozenset[Partition] = frozenset()
        self._readings: dict[Partition, _Reading] = {}
        self._placed = False
        self._question: tuple[Callable[[], Any], Callable[[Any], None]] | None = None

    def assign(self, share: frozenset[Partition]) -> None:
        """Be told by the group what to read."""
        self._question, self._placed = None, False
        if self._rng.random() < 0.5:
            self.fleet.revoked(self.share - share)
        self.share = share

    def turn(self) -> None:
        """Do one round: place, read, work. The database may be away: then the same is asked again at the next turn."""
        if self._question is not None:
            self._ask(*self._question)
        elif not self._placed:
            extents = {partition: self._logs[partition].ends for partition in self._in_order(self.share)}
            self._ask(lambda: self.fleet.assigned(extents), self._place)
            if not self._placed:
                self._ask_idly()
        else:
            for partition in self._rng.sample(self._in_order(self._readings), len(self._readings)):
                if self._question is None:
                    self._read(partition, self._readings[partition])
            if self._question is None:
                self._ask(self.fleet.work, self._follow)

    def _in_order(self, partitions: Iterable[Partition]) -> list[Partition]:
        return sorted(partitions, key=lambda partition: partition.number)

    def _ask(self, question: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self._question = question, then
        try:
            answer = question()
        except StoreBusyError:
            return
        self._question = None
        then(answer)

    def _ask_idly(self) -> None:
        """Ask for work although nothing is placed, as a client does whose broker was away in between."""
        with suppress(StoreBusyError):
            self.fleet.work()

    def _place(self, offsets: Mapping[Partition, int | None]) -> None:
        self._readings = {partition: _Reading(offset) for partition, offset in offsets.items()}
        self._placed = True

    def _follow(self, offsets: Mapping[Partition, int | None]) -> None:
        for partition, offset in offsets.items():
            self._readings[partition] = _Reading(offset)

    def _read(self, partition: Partition, reading: _Reading) -> None:
        if reading.at is None:
            return
        if not self.fleet.wants(partition) and self._rng.random() >= self._mischief.unwanted:
            return
        if not reading.honest and reading.seek is None and self._mislead(partition, reading):
            return
        log = self._logs[partition]
        try:
            records = log.fetch(reading.at, self._rng.randint(1, FETCHED))
        except OutOfRangeError:
            earliest, end = log.ends
            self._ask(lambda: self.fleet.lost(partition, earliest, end), lambda offset: self._follow({partition: offset}))
            return
        if not records and reading.seek is not None:
            self._obey(reading)
        elif records:
            self._ask(lambda: self.fleet.deliver(partition, records), lambda offset: self._answered(reading, records, offset))

    def _mislead(self, partition: Partition, reading: _Reading) -> bool:
        """Do something else than to read on; whether that was all."""
        assert reading.at is not None
        drawn, mischief = self._rng.random(), self._mischief
        log = self._logs[partition]
        earliest, end = log.ends
        if drawn < mischief.skip:
            ahead = reading.at + self._rng.randint(1, 5)
            reading.at = ahead if ahead < log.readable_end else reading.at  # Where nothing follows, nobody could tell.
            return False
        drawn -= mischief.skip
        if drawn < mischief.copy:
            records: Sequence[SimulatedRecord] = reading.last
        elif drawn < mischief.copy + mischief.old:
            first = max(earliest, reading.at - self._rng.randint(1, FETCHED))
            records = [] if first > end else log.fetch(first, self._rng.randint(1, FETCHED))
        elif drawn < mischief.copy + mischief.old + mischief.nothing:
            records = []
        else:
            return False
        self._ask(lambda: self.fleet.deliver(partition, records), lambda offset: self._sent_elsewhere(reading, offset))
        return True

    def _answered(self, reading: _Reading, records: Sequence[SimulatedRecord], offset: int | None) -> None:
        reading.honest = False
        if offset is None:
            reading.last = records
        reading.at = records[-1].offset + 1
        if reading.seek is not None:
            self._obey(reading)
        else:
            self._sent_elsewhere(reading, offset)

    def _sent_elsewhere(self, reading: _Reading, offset: int | None) -> None:
        if offset is None:
            return
        reading.seek = offset
        if self._rng.random() >= self._mischief.ignore:
            self._obey(reading)

    def _obey(self, reading: _Reading) -> None:
        reading.at, reading.seek, reading.honest = reading.seek, None, True


class JudgingProcess:
    """A worker that judges, activates files, and signs."""

    def __init__(self, name: str, store: Connection, topic: str, rules: Rules) -> None:
        self.name = name
        self.governor = Governor(store, topic, name, rules)
        self.quiet = False

    def turn(self) -> None:
        """Do what is due; what cannot be done now is done at another turn."""
        self.quiet = False
        try:
            self.quiet = not self.governor.turn()
        except (FencedError, StoreBusyError):
            return


@dataclass
class RelayingProcess:
    """A worker that relays, and the broker that it sends to."""

    name: str
    store: Connection
    topic: str
    trouble: Trouble
    laws: Laws
    now: Callable[[], int]
    quiet: bool = False
    _marks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        holding = Holding(self.store, LEASE, self.name, self.now)
        self._relay = Relay(self, self.store, self._send, self.topic, holding, self.now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def marks(self) -> dict[str, int]:
        """Return what the store says, and take note of it."""
        self._marks = dict(self.store.marks())
        return self._marks

    def turn(self) -> None:
        """Send what is there."""
        self.quiet = False
        try:
            self.quiet = not self._relay.turn()
        except UnreachableError:
            return

    def _send(self, topic: str, parcels: Sequence[Parcel]) -> None:
        """Take parcels, all, some or none; whatever was taken before it failed is there all the same."""
        drawn, trouble = self.trouble.rng.random(), self.trouble
        taken = parcels
        if drawn < 8 * (trouble.busy + trouble.crash):
            taken = parcels[: trouble.rng.randint(0, len(parcels))]
        self.laws.saw_sent(topic, taken, self._marks)
        if drawn < 8 * trouble.crash:
            raise Crash(self.name)
        if drawn < 8 * (trouble.busy + trouble.crash):
            raise UnreachableError("the broker is away", hint="wait")
