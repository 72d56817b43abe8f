"""`guardian policy check`: every mistake of every file, one a line, then how late each rule's alert can come."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from guardian.entrypoints.cli.output import ended_by_reader, say
from guardian.entrypoints.cli.session import Format, session
from guardian.errors import InvalidFileError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardian.errors import Mistake
    from guardian.policies.lint import Lateness
    from guardian.policies.load import PolicySet

FINDINGS: Final = 1
WARNED: Final = 3  # Only with --fail-on warn: there are warnings and no errors.


class Style(StrEnum):
    """How mistakes are written."""

    PRETTY = "pretty"
    JSON = "json"
    GITHUB = "github"


class FailOn(StrEnum):
    """What makes the exit code other than 0."""

    ERROR = "error"
    WARN = "warn"


def check(
    paths: list[Path] | None = typer.Argument(None, help="Files and directories; default: policies/ in the home directory."),
    style: Style = typer.Option(Style.PRETTY, "--format", help="Lines, one JSON object with everything, or GitHub annotations."),
    fail_on: FailOn = typer.Option(FailOn.ERROR, "--fail-on", help="warn: exit code 3 when there are warnings and no errors."),
) -> None:
    """Check policy and model files, with every mistake and its line. Exit code 1 when there are mistakes."""
    from guardian.policies.lint import advise, lateness
    from guardian.policies.load import load_set

    if session().output not in {None, Format.TABLE}:
        raise UsageError("policy check prints no rows", hint="use --format json instead of -o")
    files = _gather(paths or [session().home.policies])
    checked: PolicySet | None = None
    mistakes: Sequence[Mistake]
    rows: Sequence[Lateness] = ()
    try:
        checked = load_set(files)
        mistakes, rows = sorted([*checked.warnings, *advise(checked)], key=_place), lateness(checked)
    except InvalidFileError as error:
        mistakes = error.mistakes
    with ended_by_reader():
        _print(mistakes, rows, style)
    warnings = sum(mistake.warning for mistake in mistakes)
    say(_summary(checked, len(mistakes) - warnings, warnings))
    if checked is None:
        raise typer.Exit(FINDINGS)
    if warnings and fail_on is FailOn.WARN:
        raise typer.Exit(WARNED)


def _gather(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return the bytes of the files named, and of the model and policy files in the directories named, by name.

    Raises NotFoundError where there is no such path, or no file to check; UnreachableError where one cannot be read.
    """
    from guardian.adapters.home.files import read_file, read_policies

    found: dict[str, bytes] = {}
    for path in paths:
        if path.is_dir():
            found |= read_policies(path)
        elif path.is_file():
            found[str(path)] = read_file(path)
        else:
            raise NotFoundError(f"there is no file {path}", hint="name an existing file or directory, or run `guardian init`")
    if not found:
        named = ", ".join(map(str, paths))
        raise NotFoundError(f"there is no .yaml file in {named}", hint="name other files, or run `guardian init`")
    return found


def _place(mistake: Mistake) -> tuple[str, int, int, str]:
    return mistake.file, mistake.line, mistake.column, mistake.code


def _print(mistakes: Sequence[Mistake], rows: Sequence[Lateness], style: Style) -> None:
    if style is Style.JSON:
        both = {"mistakes": [asdict(each) for each in mistakes], "lateness": [asdict(each) for each in rows]}
        sys.stdout.write(json.dumps(both, indent=2) + "\n")
        return
    write = _github if style is Style.GITHUB else str
    for mistake in mistakes:
        sys.stdout.write(write(mistake) + "\n")
    for row in rows:
        sys.stdout.write(f"{row}\n")
    sys.stdout.flush()


def _github(mistake: Mistake) -> str:
    """Write a mistake as a workflow command, which shows it at its line of a pull request."""
    level = "warning" if mistake.warning else "error"
    file, code = (_escape(text).replace(":", "%3A").replace(",", "%2C") for text in (mistake.file, mistake.code))
    place = f"file={file},line={mistake.line},col={mistake.column},title={code}"
    return f"::{level} {place}::{_escape(f'{mistake.what} (hint: {mistake.hint})')}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _summary(checked: PolicySet | None, errors: int, warnings: int) -> str:
    counted = f"{errors} errors, {warnings} warnings"
    if checked is None:
        return counted
    return f"{len(checked.models)} models, {len(checked.policies)} policies: {counted}"
