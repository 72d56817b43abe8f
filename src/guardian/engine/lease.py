"""Who may do what there is only one of: leases with a fencing epoch, and runs that happen once.

Wall-clock times are UTC milliseconds and are passed in. A lease's holder may lose it unawares; its epoch,
checked in the transaction of the work itself, is what keeps a late holder out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_MS: Final = 10_000  # How long something goes undone when whoever did it dies.


class Leases(Protocol):
    """Named leases. Epochs of one name only rise, over releases and restarts."""

    def acquire(self, name: str, holder: str, ttl_ms: int, now: int) -> int | None:
        """Take the lease until `now + ttl_ms` and return its new epoch; None while somebody else holds it."""

    def holder(self, name: str) -> str:
        """Return who took the lease last and has not released it; empty where nobody has."""

    def renew(self, name: str, holder: str, epoch: int, ttl_ms: int, now: int) -> bool:
        """Hold on until `now + ttl_ms`; False when the lease of that epoch is lost or has run out."""

    def release(self, name: str, holder: str, epoch: int) -> None:
        """Give the lease up; nothing happens when it is not held at that epoch."""


class JobRuns(Protocol):
    """Scheduled jobs: each run at most once, whoever tries."""

    def start_run(self, job: str, scheduled_for: int, started_at: int) -> bool:
        """Take the run of `job` that was due at `scheduled_for`; False when somebody took it before."""

    def finish_run(self, job: str, scheduled_for: int, finished_at: int, outcome: str) -> None:
        """Write down how it ended."""


class Holding:
    """One lease: taken, held on to, and lost without a sound."""

    def __init__(self, leases: Leases, name: str, owner: str, now: Callable[[], int]) -> None:
        self._leases, self._name, self._owner, self._now = leases, name, owner, now
        self._epoch: int | None = None
        self._renewed = 0

    def is_held(self) -> bool:
        """Renew or take the lease where it is time to; whether it is held now."""
        now = self._now()
        if self._epoch is not None and now < self._renewed + HELD_MS // 3:
            return True
        if self._epoch is None or not self._leases.renew(self._name, self._owner, self._epoch, HELD_MS, now):
            self._epoch = self._leases.acquire(self._name, self._owner, HELD_MS, now)
        self._renewed = now
        return self._epoch is not None

    @property
    def stands_by(self) -> bool:
        """Whether somebody else had it when it was asked for last: alive, or dead for less than HELD_MS."""
        return self._renewed > 0 and self._epoch is None

    def give_up(self) -> None:
        """Release the lease for the next."""
        if self._epoch is not None:
            self._leases.release(self._name, self._owner, self._epoch)
            self._epoch = None
        self._renewed = 0
