"""Deliberate crashes: SIGKILL the own process at a named place of `engine.land`, for tests of recovery.

The environment says where, how often, and optionally at which visit only:
`GUARDIAN_FAILPOINTS=after_cas:0.01,before_commit:1@3`.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from guardian.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardian.engine.ports import Store, Transaction

VARIABLE: Final = "GUARDIAN_FAILPOINTS"
NAMES: Final = ("after_cas", "after_panes", "after_records", "before_commit", "after_commit")
_AFTER: Final = {"advance": "after_cas", "put_panes": "after_panes", "append_records": "after_records"}
_POINT: Final = re.compile(r"(?P<name>[a-z_]+):(?P<chance>\d*\.?\d+)(@(?P<visit>\d+))?")
_DIE: Final = 1_000_000  # Faces of the die that a chance is compared with.


@dataclass(frozen=True, slots=True)
class Failpoint:
    """One place to die at: with `chance` in [0, 1], at every visit or only at visit number `visit` (from 1)."""

    name: str
    chance: float
    visit: int | None


def parse_failpoints(text: str) -> tuple[Failpoint, ...]:
    """Read the variable's text. Raises UsageError.

    >>> parse_failpoints("after_cas:0.01,before_commit:1@3")[1]
    Failpoint(name='before_commit', chance=1.0, visit=3)
    """
    points = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = _POINT.fullmatch(item)
        if match is None or match["name"] not in NAMES or float(match["chance"]) > 1:
            raise UsageError(f"{VARIABLE}: {item!r} is no failpoint", hint=f"write NAME:CHANCE or NAME:CHANCE@VISIT with {NAMES}")
        points.append(Failpoint(match["name"], float(match["chance"]), int(match["visit"]) if match["visit"] else None))
    return tuple(points)


def kill_self() -> None:
    """End this process at once, without any clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


class FailpointStore:
    """A store that may die while `land` is writing; everything else goes to the store behind it."""

    def __init__(self, store: Store, points: tuple[Failpoint, ...], die: Callable[[], None] = kill_self) -> None:
        self._store = store
        self._points = points
        self._die = die
        self._visits = dict.fromkeys(NAMES, 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def begin(self) -> Iterator[Any]:
        """Open a write transaction that may never end."""
        with self._store.begin() as transaction:
            yield _FailpointTransaction(transaction, self.visit)
            self.visit("before_commit")
        self.visit("after_commit")

    def visit(self, name: str) -> None:
        """Pass a place, or die there."""
        self._visits[name] += 1
        for point in self._points:
            here = point.name == name and point.visit in {None, self._visits[name]}
            if here and secrets.randbelow(_DIE) < point.chance * _DIE:
                self._die()


class _FailpointTransaction:
    def __init__(self, transaction: Transaction, visit: Callable[[str], None]) -> None:
        self._transaction = transaction
        self._visit = visit

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._transaction, name)
        if name not in _AFTER:
            return method

        def then_visit(*arguments: Any) -> Any:
            result = method(*arguments)
            self._visit(_AFTER[name])
            return result

        return then_visit


def with_failpoints(store: Any) -> Any:
    """Return `store`, behind failpoints when the environment names some. Raises UsageError."""
    points = parse_failpoints(os.environ.get(VARIABLE, ""))
    return FailpointStore(store, points) if points else store
