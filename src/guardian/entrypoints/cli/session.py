"""What a command knows of its call: the home directory and how to print, from the global options; and what options share."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from guardian.config import Home
from guardian.errors import UsageError
from guardian.units import parse_time

DEBUG: Final = "GUARDIAN_DEBUG"  # 1: show the traceback of errors.


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


Output = Annotated[Format | None, typer.Option("-o", "--output", help="How rows are printed; default table.")]


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


def instant(text: str | None, option: str) -> int | None:
    """Read what an option says: an instant, or a day for its first moment in UTC; None stays None. Raises UsageError.

    >>> instant("2016-01-02", "--since") == instant("2016-01-02T00:00:00Z", "--since")
    True
    """
    if text is None:
        return None
    try:
        return parse_time(f"{text}T00:00:00Z" if len(text) == len("2016-01-02") else text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint="write 2016-01-02 or 2016-01-02T03:04:05Z") from error
