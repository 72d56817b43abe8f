"""A process of a fleet: it counts, or judges, or both, until it is told to stop or nothing is left to do.

Counting is driven by the broker's adapter in the main thread. Judging and relaying have a thread each, in which whatever the
database or the broker cannot do now is tried again after a pause.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from guardian.engine.ending import finalise, is_drained
from guardian.engine.fates import Fate, fate_of
from guardian.engine.lease import HELD_MS
from guardian.errors import GuardianError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardian.engine.fleet import Fleet
    from guardian.engine.ports import LogReader, Store

PAUSE_S: Final = 1.0  # After something that could not be done now.
QUIET_TURNS: Final = 2  # So many turns without anything to do mean that nothing is left.


class Turning(Protocol):
    """Something that is done again and again: a governor's or a relay's work."""

    @property
    def stands_by(self) -> bool:
        """Whether another process has the right to do some of it, or had until a moment ago."""

    def turn(self) -> bool | int:
        """Do what is due; whether anything was."""

    def stop(self) -> None:
        """Let others do it from now on."""


class Consume(Protocol):
    """Reads the log for somebody, in the main thread, until told to stop."""

    def __call__(self, reader: LogReader, stop: threading.Event) -> int:
        """Return the process's exit code."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What a worker does; None is what it does not.

    Attributes:
        store: The database.
        topic: The log.
        fleet: Counts.
        consume: Drives `fleet`.
        turns: What runs beside it, by name.
        ends: How far every partition of the log is to be counted, by number, given how far those are counted at which to look
            closely: what follows there may be nothing that is counted. Raises UnreachableError.
        pause_ms: Between two turns when nothing is due.
        now: The wall clock.
        say: Tells a person one line.
    """

    store: Store
    topic: str
    fleet: Fleet | None
    consume: Consume
    turns: Mapping[str, Turning]
    ends: Callable[[Mapping[int, int]], Mapping[int, int]]
    pause_ms: int
    now: Callable[[], int]
    say: Callable[[str], None]


class Worker:
    """Runs duties."""

    def __init__(self, duties: Duties) -> None:
        self._duties = duties
        self._stop = threading.Event()
        self._loops = [Loop(name, turning, duties, self._stop, self._stir) for name, turning in duties.turns.items()]
        self._failure: BaseException | None = None
        self._counted: dict[int, int] = {}

    def stop(self) -> None:
        """Ask everything to end; safe from signal handlers and other threads."""
        self._stop.set()

    def run(self, *, until_idle: bool, finalise_all: bool) -> int:
        """Run until told to stop; with `until_idle` until the log is drained, judged and relayed. Returns the exit code.

        Raises what stops counting, judging or relaying.
        """
        threads = [threading.Thread(target=loop.run, name=f"guardian-{loop.name}", daemon=True) for loop in self._loops]
        if until_idle:
            threads.append(threading.Thread(target=self._finish, args=(finalise_all,), name="guardian-finish", daemon=True))
        for thread in threads:
            thread.start()
        code = 0
        try:
            if self._duties.fleet is not None:
                code = self._duties.consume(self._duties.fleet, self._stop)
            else:
                self._stop.wait()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        failures = (self._failure, *(loop.failure for loop in self._loops))
        if failure := next(filter(None, failures), None):
            raise failure
        return code

    def _finish(self, finalise_all: bool) -> None:
        """Stop everything once nothing is left to do."""
        try:
            while not self._drained(finalise_all):
                if self._stop.wait(PAUSE_S / 2):
                    return
            self._stir()
            while not all(loop.is_idle for loop in self._loops):
                if self._stop.wait(self._duties.pause_ms / 1_000):
                    return
        except BaseException as error:
            self._failure = error
        self._stop.set()

    def _stir(self) -> None:
        """Have everybody look again: what one has done may be something to do for another."""
        for loop in self._loops:
            loop.quiet = 0

    def _drained(self, finalise_all: bool) -> bool:
        duties = self._duties
        try:
            standings = duties.store.standings(duties.topic)
            counted = {standing.claim.partition.number: standing.claim.next_offset for standing in standings}
            before, self._counted = self._counted, counted
            ends = duties.ends({number: offset for number, offset in counted.items() if before.get(number) == offset})
            if not finalise_all:
                return is_drained(standings, ends)
            return finalise(duties.store, duties.topic, ends, duties.now())
        except UnreachableError:
            return False


class Loop:
    """One thing done again and again in a thread.

    Attributes:
        name: What people call it.
        quiet: Turns in a row in which there was nothing to do, for anybody.
        failure: What ended it, if something did.
    """

    def __init__(self, name: str, turning: Turning, duties: Duties, stop: threading.Event, stir: Callable[[], None]) -> None:
        self.name, self.quiet = name, 0
        self._stir, self._is_turning, self._stood_by = stir, False, False
        self.failure: BaseException | None = None
        self._turning, self._duties, self._stop = turning, duties, stop
        self._told = ""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do. What somebody else should be doing is left undone if it has died: that takes longer."""
        longer = HELD_MS // self._duties.pause_ms if self._stood_by else 0
        return not self._is_turning and self.quiet >= QUIET_TURNS + longer

    def run(self) -> None:
        """Turn until the process ends; what cannot be done now is tried again, what must not be ends the process."""
        self._turns()
        with suppress(GuardianError):  # Then leases run out by themselves.
            self._turning.stop()

    def _turns(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except GuardianError as error:
                if fate_of(error) is not Fate.RETRY and not isinstance(error, UnreachableError):
                    self._fail(error)
                    return
                self._tell(error)
                self.quiet = 0
            except BaseException as error:
                self._fail(error)
                return
            if self.quiet:
                self._stop.wait(self._duties.pause_ms / 1_000)

    def _turn(self) -> None:
        stood_by, self._is_turning = self._stood_by, True
        did = self._turning.turn()
        self._stood_by, self._told = self._turning.stands_by, ""
        self.quiet += 1
        if did or (stood_by and not self._stood_by):
            self._stir()
        self._is_turning = False

    def _tell(self, error: GuardianError) -> None:
        if str(error) != self._told:
            self._told = str(error)
            self._duties.say(f"{self.name} waits: {error}")
        self._stop.wait(PAUSE_S)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self._stop.set()
