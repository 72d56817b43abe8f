"""One process that runs the embedded engine: the loop, the timed jobs, and a line for whatever happens.

The loop alone touches the engine; timed jobs only ask it, by name, to do their work at its next turn. A lease, which the timer
renews however long a step takes, keeps a second process out; should both run all the same, the claim's epoch fences the older.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from guardian.canonical import short_id
from guardian.effects import Effects, Record
from guardian.engine.fates import Fate, StoreBusyError, fate_of
from guardian.engine.lease import JobRuns, Leases
from guardian.engine.ports import Store
from guardian.engine.telling import told
from guardian.errors import GuardianError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardian.engine.catalog import References
    from guardian.engine.engine import Engine
    from guardian.policies.load import PolicySet

LEASE: Final = "engine"
LEASE_TTL_MS: Final = 30_000
FILES, TICK, CHECKPOINT, RENEW = "files", "tick", "checkpoint", "renew"


class NoModelsError(GuardianError):
    """The policies directory holds no model file: nothing would be counted, and every event would be a dead letter."""

    code = "catalog.no-models"


class Timer(Protocol):
    """Calls functions at intervals."""

    def every(self, name: str, interval_ms: int, work: Callable[[], None]) -> None:
        """Call `work` every `interval_ms`."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class LeasingStore(Store, Leases, JobRuns, Protocol):
    """What a service needs of the database."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are done, milliseconds, and how many events a step takes."""

    batch_events: int
    poll_ms: int
    tick_every_ms: int
    checkpoint_every_ms: int


@dataclass(frozen=True, slots=True)
class World:
    """What a service works with.

    Attributes:
        store: The database.
        files: Reads the files that hold; raises InvalidFileError.
        references: Where references come from.
        checkpoint: Signs the audit log's heads now; returns a sentence.
        now: The wall clock.
        say: Tells a person one line.
        is_gone: Whether the process that an owner's name is of has ended for certain.
    """

    store: LeasingStore
    files: Callable[[], PolicySet]
    references: References
    checkpoint: Callable[[], str]
    now: Callable[[], int]
    say: Callable[[str], None]
    is_gone: Callable[[str], bool]


class Service:
    """Runs an engine until it is told to stop, or until everything there is has been judged."""

    def __init__(self, engine: Engine, world: World, timer: Timer, owner: str, pace: Pace) -> None:
        self._engine, self._world, self._timer, self._owner, self._pace = engine, world, timer, owner, pace
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._refused = ""
        self._lease: int | None = None
        self._lost = False

    def stop(self) -> None:
        """Ask the loop to end after the step under way; safe from signal handlers and other threads."""
        self._stop.set()

    def run(self, *, until_idle: bool, finalise: bool, more: Callable[[], bool] = lambda: False) -> None:
        """Run; with `until_idle` until the log is drained and `more` says that nobody is still sending.

        Raises UnreachableError when another process holds the lease, and what stops the engine.
        """
        self._lease = self._take_lease()
        if self._lease is None:
            raise UnreachableError("another guardian process runs this home", hint="stop it first")
        self._timer.every(RENEW, LEASE_TTL_MS // 3, self._renew)
        for name, interval in self._jobs():
            self._timer.every(name, interval, lambda name=name: self._asked.put(name))  # type: ignore[misc]  # binds the name
        self._timer.start()
        try:
            self._activate(first=True)
            self._loop(more if until_idle else lambda: True)
            if self._lost:
                raise UnreachableError("the lease was lost to another process", hint="run one guardian process a home")
            if finalise and not self._stop.is_set():
                self._tell(self._engine.end())
                self._world.say(self._world.checkpoint())
        finally:
            self._timer.stop()
            if self._lease is not None:
                self._world.store.release(LEASE, self._owner, self._lease)

    def _take_lease(self) -> int | None:
        """Take the lease; one that a dead process of this machine left behind is not waited for."""
        store, now = self._world.store, self._world.now()
        taken = store.acquire(LEASE, self._owner, LEASE_TTL_MS, now)
        held = store.holder(LEASE)
        if taken is None and self._world.is_gone(held):
            left = store.acquire(LEASE, held, LEASE_TTL_MS, now)
            if left is not None:
                store.release(LEASE, held, left)
            taken = store.acquire(LEASE, self._owner, LEASE_TTL_MS, now)
        return taken

    def _jobs(self) -> list[tuple[str, int]]:
        return [
            (TICK, self._pace.tick_every_ms),
            (FILES, self._pace.tick_every_ms),
            (CHECKPOINT, self._pace.checkpoint_every_ms),
        ]

    def _loop(self, more: Callable[[], bool]) -> None:
        while not self._stop.is_set():
            self._timed_work()
            ends = not more()  # Asked before the log is read: what is sent until now is in it.
            step = self._engine.step(self._pace.batch_events)
            if step is not None:
                self._world.say(f"counted {step.events:,} events, up to offset {step.next_offset:,}")
                self._tell(step.effects)
            elif ends:
                return
            else:
                self._stop.wait(self._pace.poll_ms / 1_000)

    def _timed_work(self) -> None:
        names: set[str] = set()
        while not self._asked.empty():
            names.add(self._asked.get())
        if FILES in names:
            self._activate(first=False)
        if TICK in names:
            self._once(TICK, self._pace.tick_every_ms, lambda: self._tell(self._engine.idle()))
        if CHECKPOINT in names:
            self._once(CHECKPOINT, self._pace.checkpoint_every_ms, self._checkpoint)

    def _renew(self) -> None:
        """Hold on to the lease, or take it anew where it ran out and nobody else has it; runs in the timer's thread."""
        now, store = self._world.now(), self._world.store
        try:
            if self._lease is not None and store.renew(LEASE, self._owner, self._lease, LEASE_TTL_MS, now):
                return
            self._lease = store.acquire(LEASE, self._owner, LEASE_TTL_MS, now)
        except StoreBusyError:
            return  # The loop's own transaction is longer than the wait for it; the next run tries again.
        if self._lease is None:
            self._lost = True
            self._stop.set()

    def _once(self, job: str, interval_ms: int, work: Callable[[], None]) -> None:
        """Do a job's run once, whoever else tries: its row is unique."""
        now = self._world.now()
        scheduled_for = now // interval_ms * interval_ms
        if not self._world.store.start_run(job, scheduled_for, now):
            return
        outcome = "failed"
        try:
            work()
            outcome = "done"
        finally:
            self._world.store.finish_run(job, scheduled_for, self._world.now(), outcome)

    def _checkpoint(self) -> None:
        """Sign the audit log. That it cannot be signed is told and is no reason to stop counting and alerting."""
        try:
            self._world.say(self._world.checkpoint())
        except GuardianError as error:
            self._world.say(f"no checkpoint: {error}")

    def _activate(self, *, first: bool) -> None:
        """Make the files hold. A bad set is refused and recorded once, and the last good one goes on; without one, raise."""
        try:
            files = self._world.files()
            if not files.models:
                raise NoModelsError("there is no model file", hint="put one into policies/; to stop watching, stop guardian")
            effects = self._engine.activate(files, self._world.references)
        except GuardianError as error:
            if fate_of(error) is Fate.RETRY or (first and not self._engine.held):
                raise  # The database's trouble is not the files'; and with nothing held there is nothing to go on with.
            if str(error) != self._refused:
                self._refused = str(error)
                self._refuse(error)
            return
        self._refused = ""
        for record in effects.records:
            if record.stream == "control":
                self._world.say(f"{record.kind}: {record.model}")
        self._tell(effects)

    def _refuse(self, error: GuardianError) -> None:
        self._world.say(f"files refused, the last good ones go on: {error}")
        now = self._world.now()
        body = {"code": error.code, "what": str(error)[:4_096]}
        self._engine.record(Record("control", "activation-refused", short_id("refused", str(error), str(now)), "", body))

    def _tell(self, effects: Effects) -> None:
        for line in told(effects):
            self._world.say(line)
