"""What holds for every test: property tests draw the same examples each time, no test is timed, and what is left out is said."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("guardian", derandomize=True, deadline=None)
settings.load_profile("guardian")

ALL = "GUARDIAN_TEST_ALL"  # Set by .ci/run: a test that is left out is a failure.


def left_out(terminal) -> list[str]:
    """Return the reasons for which tests were skipped, each once."""
    reports = terminal.stats.get("skipped", []) if terminal else []
    return sorted({report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in reports})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(ALL) and left_out(terminal):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter) -> None:
    reasons = left_out(terminalreporter)
    terminalreporter.write_line(f"left out: {'; '.join(reasons) if reasons else 'nothing'}")
