"""`guardian policy test`: run the cases of policies, print what came out otherwise than expected, and what no case covers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guardian.entrypoints.cli.output import emit, say
from guardian.entrypoints.cli.session import Format, Output, session
from guardian.errors import InvalidFileError, NotFoundError, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardian.errors import Mistake
    from guardian.pipeline.case_file import Cases
    from guardian.pipeline.cases import CasesResult

app = typer.Typer(add_completion=False)


@app.command("test")
def run_policy_cases(
    paths: list[Path] | None = typer.Argument(None, help="Case files, or directories of them; default: the home's policies."),
    run: str | None = typer.Option(None, "--run", metavar="REGEX", help="Only cases whose note matches."),
    junit: Path | None = typer.Option(None, "--junit", metavar="FILE", help="Write a JUnit report as well."),
    output: Output = None,
) -> None:
    """Run the cases of policies.

    Every `*.cases.yaml` gives measurements by hand and says what must follow. They go through the same code that judges real
    windows. Exit code 1 when something came out otherwise.
    """
    results = _results(_case_files(paths or [session().home.policies]), _pattern(run))
    if not any(result.cases for result in results):
        raise UsageError("no case was run", hint="name a file or directory with *.cases.yaml, and check --run")
    if junit is not None:
        _write_junit(results, junit)
    chosen = output or session().output or Format.TABLE
    if chosen is Format.TABLE:
        _print_tables(results)
    else:
        emit((_row(result) for result in results), (), chosen)
    _say_summary(results, partial=run is not None)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _pattern(run: str | None) -> re.Pattern[str]:
    try:
        return re.compile(run or "")
    except re.error as error:
        raise UsageError(f"--run {run!r} is no regular expression: {error}", hint="quote it, and escape brackets") from error


def _case_files(paths: list[Path]) -> list[Path]:
    from guardian.adapters.home.files import case_files
    from guardian.policies.load import CASES

    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"there is no {path}", hint="name a directory of policies or a *.cases.yaml")
        if path.is_dir():
            found += case_files(path)
        elif path.name.endswith(CASES):
            found.append(path)
        else:
            raise UsageError(f"{path} is no case file", hint=f"case files are called *{CASES[0]}")
    return list(dict.fromkeys(found))


def _results(files: list[Path], pattern: re.Pattern[str]) -> list[CasesResult]:
    """Run everything; every mistake of every file is told at once."""
    from guardian.adapters.home.files import read_policies
    from guardian.pipeline.cases import policy_of, run_cases
    from guardian.policies.load import load_set

    sets = {directory: load_set(read_policies(directory)) for directory in dict.fromkeys(file.parent for file in files)}
    results: list[CasesResult] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            cases = _load_cases(file)
            policy, model = policy_of(cases, sets[file.parent])
            only = [case.index for case in cases.cases if pattern.search(case.note)]
            results.append(run_cases(cases, policy, model, only=only))
        except InvalidFileError as error:
            mistakes += error.mistakes
    if mistakes:
        raise InvalidFileError(mistakes)
    return results


def _load_cases(file: Path) -> Cases:
    from guardian.adapters.home.files import read_file
    from guardian.files.strict_yaml import read
    from guardian.pipeline.case_file import load_cases

    reading = read(read_file(file), str(file))
    if reading.mistakes or len(reading.documents) != 1:
        raise InvalidFileError(
            reading.mistakes or [reading.documents[1].mistake("file.inconsistent", (), "a second document", "keep one")]
        )
    found = load_cases(reading.documents[0])
    if isinstance(found, tuple):
        raise InvalidFileError(found)
    return found


def _row(result: CasesResult) -> dict[str, Any]:
    cases = [
        {"note": c.note, "passed": not c.mismatches, "evaluations": c.evaluations, "mismatches": list(_mismatches(result, [c]))}
        for c in result.cases
    ]
    coverage = [{"rule": c.rule, "rung": c.rung, "violated": c.violated, "satisfied": c.satisfied} for c in result.coverage]
    return {"file": result.file, "policy": result.policy, "passed": result.passed, "cases": cases, "coverage": coverage}


def _mismatches(result: CasesResult, cases: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for case in cases:
        for m in case.mismatches:
            where = {"place": f"{result.file}:{m.line}", "case": case.note, "at": m.at, "about": m.about}
            yield {**where, "what": m.what, "expected": m.expected, "got": m.got}


def _print_tables(results: list[CasesResult]) -> None:
    rows = [
        {"policy": r.policy, "case": c.note, "evaluations": c.evaluations, "result": "failed" if c.mismatches else "passed"}
        for r in results
        for c in r.cases
    ]
    emit(rows, ("result", "policy", "case", "evaluations"), Format.TABLE)
    # Cells of tables are cut; the line must not be, so a table names the file alone.
    found = [{**m, "place": Path(m["place"]).name} for r in results for m in _mismatches(r, r.cases)]
    if found:
        print()  # noqa: T201
        emit(found, ("place", "case", "at", "about", "what", "expected", "got"), Format.TABLE)


def _say_summary(results: list[CasesResult], *, partial: bool) -> None:
    cases = [case for result in results for case in result.cases]
    failed = sum(bool(case.mismatches) for case in cases)
    if not partial:  # Some of the cases say nothing of what all of them cover.
        for result in results:
            for line in _gaps(result):
                say(f"{result.policy}: {line}")
    say(f"{len(cases)} cases, {sum(case.evaluations for case in cases):,} evaluations, {failed} failed")


def _gaps(result: CasesResult) -> Iterable[str]:
    for c in result.coverage:
        sides = ("fired", "judged") if c.rung == "unknown" else ("violated", "satisfied")
        never = [side for side, seen in zip(sides, (c.violated, c.satisfied), strict=True) if not seen]
        if never:
            yield f"{c.rule} {c.rung} is never {' nor '.join(never)} in any case"


def _write_junit(results: list[CasesResult], path: Path) -> None:
    from junitparser import Failure, JUnitXml, TestCase, TestSuite

    report = JUnitXml()
    for result in results:
        suite = TestSuite(result.policy)
        for case in result.cases:
            entry = TestCase(case.note, classname=result.file)
            lines = [
                f"{m['place']}: evaluation {m['at']}: {m['about']}: {m['what']}: expected {m['expected']}, got {m['got']}"
                for m in _mismatches(result, [case])
            ]
            if lines:
                failure = Failure(lines[0])
                failure.text = "\n".join(lines)
                entry.result = [failure]
            suite.add_testcase(entry)
        report.add_testsuite(suite)
    try:
        report.write(str(path), pretty=True)
    except OSError as error:
        raise UnreachableError(
            f"{path} cannot be written: {error.strerror}", hint="name a file in a directory that exists"
        ) from error
