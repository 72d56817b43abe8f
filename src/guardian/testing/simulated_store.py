"""A database that fails: a process's way to a store, which breaks before, within and after everything that is asked of it.

What can happen to a call: the database is away; the process dies; the process stands still while others go on; the reply is lost
although it was done. To a transaction moreover: any of its statements fails, or the commit, and all of it is rolled back.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from guardian.engine.fates import StoreBusyError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from guardian.adapters.memory.store import MemoryStore
    from guardian.engine.ports import Claim
    from guardian.testing.invariants import Laws

STATEMENTS: Final = 16  # One more than `land` has: what breaks at the last breaks at the commit.
_UNTOUCHED: Final = frozenset({"snapshot"})


class Crash(BaseException):
    """The process is killed here."""


@dataclass
class Trouble:
    """What may go wrong now.

    Attributes:
        rng: Decides.
        busy, crash, pause: How likely a call meets each, 0 to 1.
        away_until: The database is away before this instant, UTC milliseconds.
        now: The wall clock of the world.
        pass_time: Lets the others go on while the named process stands still.
        only_before: Where it may stand still: before this is asked; empty for everywhere.
    """

    rng: random.Random
    now: Callable[[], int]
    pass_time: Callable[[str], None]
    busy: float = 0.0
    crash: float = 0.0
    pause: float = 0.0
    away_until: int = field(default=0)
    only_before: str = ""

    def happen(self, process: str, asked: str = "") -> None:
        """Let something go wrong with a process, or nothing, before something is `asked`. Raises StoreBusyError and Crash."""
        if self.only_before in {"", asked} and self.rng.random() < self.pause:
            self.pass_time(process)
        if self.now() < self.away_until or self.rng.random() < self.busy:
            raise _away()
        if self.rng.random() < self.crash:
            raise Crash(process)

    def break_off(self, process: str) -> tuple[int, BaseException] | None:
        """Return which statement of a transaction fails, and how; None where none does."""
        drawn = self.rng.random()
        if drawn < self.busy:
            return self.rng.randrange(STATEMENTS), _away()
        if drawn < self.busy + self.crash:
            return self.rng.randrange(STATEMENTS), Crash(process)
        return None


class Connection:
    """One process's way to the store. Everything that a store has can be asked of it."""

    def __init__(self, store: MemoryStore, process: str, trouble: Trouble, laws: Laws) -> None:
        self._store, self._process, self._trouble, self._laws = store, process, trouble, laws

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._store, name)
        if name in _UNTOUCHED:
            return asked

        def ask(*args: Any, **options: Any) -> Any:
            self._trouble.happen(self._process, name)
            answer = asked(*args, **options)
            if name == "claim":
                self._laws.saw_claim(self._process, answer)
            self._trouble.happen(self._process)
            return answer

        return ask

    @contextmanager
    def begin(self) -> Iterator[Any]:
        """Open a write transaction, which may break at any statement; a commit's reply may be lost."""
        self._trouble.happen(self._process, "begin")
        with self._store.begin() as transaction:
            statements = _Statements(transaction, self._trouble.break_off(self._process))
            yield statements
            statements.commit()
        for claim in statements.advanced:
            self._laws.saw_landing(self._process, claim)
        self._trouble.happen(self._process)


class _Statements:
    """An open transaction that may break before one of its statements."""

    def __init__(self, transaction: Any, broken: tuple[int, BaseException] | None) -> None:
        self._transaction, self._broken, self._count = transaction, broken, 0
        self.advanced: list[Claim] = []

    def __getattr__(self, name: str) -> Any:
        if self._broken is not None and self._count >= self._broken[0]:
            raise self._broken[1]
        self._count += 1
        return getattr(self._transaction, name)

    def advance(self, claim: Claim, next_offset: int, tail: str) -> bool:
        """Compare and swap, and take note of it."""
        if self._broken is not None and self._broken[0] == 0:
            raise self._broken[1]
        done: bool = self._transaction.advance(claim, next_offset, tail)
        if done:
            self.advanced.append(claim)
        return done

    def commit(self) -> None:
        """Break where no statement was the one that was to break."""
        if self._broken is not None:
            raise self._broken[1]


def _away() -> StoreBusyError:
    return StoreBusyError("the database is away", hint="wait")
