"""Timed jobs by APScheduler: each process has its own memory job store, so no two schedulers share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

if TYPE_CHECKING:
    from collections.abc import Callable


class Schedule:
    """Calls functions at intervals in a background thread, never two runs of one job at once; UTC only."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})

    def every(self, name: str, interval_ms: int, work: Callable[[], None]) -> None:
        """Call `work` every `interval_ms`, first after one interval."""
        self._scheduler.add_job(work, "interval", seconds=interval_ms / 1_000, id=name)

    def start(self) -> None:
        """Start the thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop the thread; a run under way ends first."""
        self._scheduler.shutdown(wait=True)
