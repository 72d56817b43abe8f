"""What holds for every test: property tests draw the same examples each time, no test is timed, and what is left out is said."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))  # `services` is shared with what measures and tortures.

from services import kafka as kafka_service
from services import postgres as postgres_service

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("guardian", derandomize=True, deadline=None)
settings.load_profile("guardian")

ALL = "GUARDIAN_TEST_ALL"  # Set by .ci/run: a test that is left out is a failure.


def left_out(terminal) -> list[str]:
    """Return the reasons for which tests were skipped, each once."""
    reports = terminal.stats.get("skipped", []) if terminal else []
    said = (report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in reports)
    return sorted({reason.removeprefix("Skipped: ") for reason in said})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(ALL) and left_out(terminal):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter) -> None:
    reasons = left_out(terminalreporter)
    terminalreporter.write_line(f"left out: {'; '.join(reasons) if reasons else 'nothing'}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_service.Databases]:
    """A PostgreSQL server that all tests share, each in its own databases; started when the first asks."""
    if url := os.environ.get(postgres_service.GIVEN):
        yield postgres_service.Databases(url)
        return
    if postgres_service.find_binaries() is None:
        pytest.skip(postgres_service.MISSING)
    with postgres_service.Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: postgres_service.Databases) -> Iterator[str]:
    """The URL of a database with nothing in it, which is dropped afterwards."""
    name = f"guardian_test_{uuid.uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def own_postgres() -> Iterator[postgres_service.Postgres]:
    """A PostgreSQL server of the test's own, to be stopped and killed; an address that is given is no help here."""
    if postgres_service.find_binaries() is None:
        pytest.skip(postgres_service.MISSING)
    with postgres_service.Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[kafka_service.Broker]:
    """A Kafka broker that all tests share, each with its own topics; started when the first asks."""
    if bootstrap := os.environ.get(kafka_service.GIVEN):
        yield kafka_service.Broker(bootstrap)
        return
    if not kafka_service.is_installed():
        pytest.skip(kafka_service.MISSING)
    with kafka_service.Kafka() as broker:
        yield broker


@pytest.fixture
def kafka_prefix(kafka: kafka_service.Broker) -> Iterator[str]:
    """What the names of the test's topics begin with; they are deleted afterwards."""
    prefix = f"guardian-test-{uuid.uuid4().hex}"
    yield prefix
    kafka.delete_topics(prefix)


@pytest.fixture
def own_kafka() -> Iterator[kafka_service.Kafka]:
    """A Kafka broker of the test's own, to be stopped, paused and killed; an address that is given is no help here."""
    if not kafka_service.is_installed():
        pytest.skip(kafka_service.MISSING)
    with kafka_service.Kafka() as broker:
        yield broker
