"""What a check of an installation finds: good, worth a look, or wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class State(StrEnum):
    """How one check came out."""

    OK = "ok"
    WARN = "warn"  # It works, and somebody should look.
    FAIL = "fail"  # It does not do what it is for.


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        check: What was looked at, in few words: `database`, `topic guardian.events`.
        state: How it came out.
        what: One sentence: how it is.
        hint: What to do; empty where nothing is to be done.
        unreachable: Whether nothing is known, because it could not be reached or read.
    """

    check: str
    state: State
    what: str
    hint: str = ""
    unreachable: bool = False

    def to_json(self) -> dict[str, str]:
        """Return the row that commands print."""
        return {"check": self.check, "state": self.state.value, "what": self.what, "hint": self.hint}


def ok(check: str, what: str) -> Finding:
    """Return that all is well."""
    return Finding(check, State.OK, what)


def warn(check: str, what: str, hint: str) -> Finding:
    """Return that somebody should look."""
    return Finding(check, State.WARN, what, hint)


def fail(check: str, what: str, hint: str) -> Finding:
    """Return that something is wrong."""
    return Finding(check, State.FAIL, what, hint)


def unreachable(check: str, what: str, hint: str) -> Finding:
    """Return that something could not be reached or read, so that nothing is known about it."""
    return Finding(check, State.FAIL, what, hint, unreachable=True)


def exit_code(found: Iterable[Finding]) -> int:
    """Return what a command ends with: 1 where something is wrong, else 4 where something is unknown, else 0.

    >>> exit_code([ok("a", "well")]), exit_code([warn("a", "odd", "look")])
    (0, 0)
    >>> exit_code([unreachable("a", "gone", "start it")]), exit_code([unreachable("a", "", ""), fail("b", "bad", "mend it")])
    (4, 1)
    """
    failed = [each for each in found if each.state is State.FAIL]
    if any(not each.unreachable for each in failed):
        return 1
    return 4 if failed else 0
