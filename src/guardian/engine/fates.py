"""Which error means what the engine does next.

Takes: an exception. Gives: one of three fates. Never: retries, sleeps or logs.
"""

from __future__ import annotations

from enum import StrEnum

from guardian.errors import GuardianError, OverflowRefusedError, UnreachableError


class FencedError(GuardianError):
    """Somebody else moved the partition, or the catalog was raised: this claim writes no more."""

    code = "store.fenced"


class StoreBusyError(UnreachableError):
    """The database was locked, full or gone; whether a commit under way landed is unknown."""

    code = "store.busy"


class StoreRefusedError(GuardianError):
    """The database refused a write that breaks one of its own rules; nothing of the transaction was kept."""

    code = "store.refused"


class Fate(StrEnum):
    """What the engine does after an error."""

    RETRY = "retry"
    """Drop what is in memory, claim and load again, count the same events again."""
    DEAD_LETTER = "dead-letter"
    """Keep the event with its reason, and go on after it. Of a batch: halve it until one event is left."""
    STOP = "stop"
    """End the process: somebody must look."""


def fate_of(error: BaseException) -> Fate:
    """Return what follows from `error`. Whatever is not foreseen stops the engine.

    >>> fate_of(FencedError("the claim is stale", hint="load again")), fate_of(ValueError())
    (<Fate.RETRY: 'retry'>, <Fate.STOP: 'stop'>)
    """
    match error:
        case FencedError() | StoreBusyError():
            return Fate.RETRY
        case OverflowRefusedError():
            return Fate.DEAD_LETTER
        case _:
            return Fate.STOP
