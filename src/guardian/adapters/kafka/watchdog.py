"""Whether reading gets on: a worker that stands still though the log has more is better started anew."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka.structs import TopicPartition

    from guardian.adapters.kafka.fetching import Standing

GIVEN_UP: Final = 75  # sysexits.h's EX_TEMPFAIL: a supervisor starts the worker again.
GRACE_S: Final = 20.0  # How long a stop may take. Ending in the middle loses nothing: what has not landed is read again.


@dataclass(slots=True)
class _Progress:
    best: int
    answered: int | None
    at: float


class Watch:
    """What the main loop says of its progress, and what follows from its silence. Times are monotonic seconds.

    Args:
        limit_s: How long anything may stand still.
        clock: Monotonic seconds.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._alive_at = clock()
        self._unplaced_at: float | None = clock()
        self._progress: dict[TopicPartition, _Progress] = {}

    def pulse(self) -> None:
        """The main loop is alive."""
        self._alive_at = self._clock()

    def unplaced(self) -> None:
        """Partitions are being dealt out: there is nothing to read until `placed`."""
        self._unplaced_at = self._unplaced_at or self._clock()
        self._progress = {}

    def placed(self) -> None:
        """It is known where to read from."""
        self._unplaced_at = None

    def excused(self) -> None:
        """Nothing can move, and starting anew would not help: the database is away."""
        now = self._clock()
        for progress in list(self._progress.values()):
            progress.at = now
        if self._unplaced_at is not None:
            self._unplaced_at = now

    def look(self, standings: Mapping[TopicPartition, Standing]) -> None:
        """Take in how the partitions stand that are to be read."""
        now = self._clock()
        known, self._progress = self._progress, {}
        for partition, standing in standings.items():
            before = known.get(partition)
            at_end = standing.end is not None and standing.position >= standing.end
            if before is None:
                self._progress[partition] = _Progress(standing.position, standing.answered, now)
            else:
                moves = standing.position > before.best or (at_end and standing.answered != before.answered)
                at = now if moves else before.at
                self._progress[partition] = _Progress(max(standing.position, before.best), standing.answered, at)

    def verdict(self) -> str | None:
        """Return what stands still, or None. Called from another thread."""
        now = self._clock()
        if now - self._alive_at > self._limit_s:
            return f"the worker has done nothing for {now - self._alive_at:.0f} s"
        if self._unplaced_at is not None and now - self._unplaced_at > self._limit_s:
            return f"the group has dealt out no partitions for {now - self._unplaced_at:.0f} s"
        for partition, progress in list(self._progress.items()):
            if now - progress.at > self._limit_s:
                where = f"{partition.topic}/{partition.partition}"
                return f"{where} has more, and has not moved from {progress.best} for {now - progress.at:.0f} s"
        return None


class Guard:
    """A thread beside the main loop: gives up once when the watch says so, and ends the process when a stop takes too long.

    Args:
        watch: What is watched.
        every_s: How often.
        give_up: Told what stands still.
        end: Ends the process at once with a code; replaced in tests.
    """

    def __init__(
        self, watch: Watch, every_s: float, give_up: Callable[[str], None], end: Callable[[int], object] = os._exit
    ) -> None:
        self._watch = watch
        self._every_s = every_s
        self._give_up = give_up
        self._end = end
        self._over = threading.Event()
        self._deadline: threading.Timer | None = None
        self._thread = threading.Thread(target=self._run, name="guardian-watchdog", daemon=True)
        self._thread.start()

    def stopping(self, code: int) -> None:
        """From now on the process has `GRACE_S` to end by itself."""
        if self._deadline is None:
            self._deadline = threading.Timer(GRACE_S, self._end, [code])
            self._deadline.daemon = True
            self._deadline.start()

    def close(self) -> None:
        """All has ended well."""
        self._over.set()
        if self._deadline is not None:
            self._deadline.cancel()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            why = self._watch.verdict()
            if why is not None:
                self._give_up(why)
                return
