"""Every error guardian raises on purpose.

Each class owns one stable `code`; codes are public, are listed in docs/errors.md, and never change meaning. A class of one
room lives in that room and inherits from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class GuardianError(Exception):
    """Root of the deliberate errors: what happened, and what to do about it.

    Attributes:
        code: Stable, dotted, lower case. Printed, counted and documented.
        hint: One sentence the operator can act on.
        exit_code: What a command ends with: 1 findings, 2 usage, 4 could not reach or read.
    """

    code: ClassVar[str] = "guardian"
    exit_code: ClassVar[int] = 4

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]} (hint: {self.hint})"


class UsageError(GuardianError):
    """A command was asked for something that makes no sense. Exit code 2."""

    code = "usage"
    exit_code = 2


class UnreachableError(GuardianError):
    """Something that was needed could not be reached or read. Exit code 4."""

    code = "unreachable"


class NotFoundError(GuardianError):
    """The named thing does not exist here. Exit code 4."""

    code = "not-found"


class OverflowRefusedError(GuardianError):
    """A fixed-point sum would leave 64 bits; the batch is refused rather than wrapped."""

    code = "state.overflow"


class InvalidStateError(GuardianError):
    """A counted state breaks its own invariant; it was built or stored wrongly."""

    code = "state.invalid"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a file, where it is, and the way out.

    Attributes:
        code: Stable, dotted, e.g. `file.unknown-key`.
        file: The file as the user named it.
        line: From 1; 0 when the whole file is meant.
        column: From 1; 0 when the whole line is meant.
        what: One sentence.
        hint: One sentence: allowed values, a did-you-mean, or what to do.
        path: Where in the document, e.g. `spec.rules[0].warn`.
        warning: Whether it only warns.
    """

    code: str
    file: str
    line: int
    column: int
    what: str
    hint: str
    path: str = ""
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        return f"{self.file}:{self.line}:{self.column}: {kind}: {self.code}: {self.what} (hint: {self.hint})"


class InvalidFileError(GuardianError):
    """A file that people write has mistakes; every one of them is listed. Exit code 1."""

    code = "file.invalid"
    exit_code = 1

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)), hint="mend the places named and check again")
