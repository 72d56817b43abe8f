"""What a command knows of its call: the home directory and how to print, from the global options."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from guardian.config import Home

DEBUG: Final = "GUARDIAN_DEBUG"  # 1: show the traceback of errors.


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Session:
    """One call of `guardian`.

    Attributes:
        home: The home directory.
        output: What the global `-o` asked for; None when it was not given.
    """

    home: Home
    output: Format | None = None


_current: ContextVar[Session | None] = ContextVar("session", default=None)


def begin(home: str, output: Format | None) -> Session:
    """Set and return the session of this call."""
    session = Session(Home(Path(home)), output)
    _current.set(session)
    return session


def session() -> Session:
    """Return the session of this call; outside of one, the environment's."""
    return _current.get() or Session(Home(Path(os.environ.get("GUARDIAN_HOME", "."))))
