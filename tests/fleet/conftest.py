"""Worlds that the tests of a fleet share: a home, topics and a database each, on servers that are started once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from trial.events import events_of
from trial.oracle import Oracle
from trial.world import World

from guardian.testing.outcomes import Outcome
from services.kafka import Broker

MODEL = "car-loan"
PARTITIONS = 4


def world_of(root: Path, kafka: Broker, database: str, prefix: str) -> World:
    return World(root, kafka.bootstrap, database, prefix, settings={"GUARDIAN_SESSION_TIMEOUT": "6s"})


@pytest.fixture
def world(kafka: Broker, kafka_prefix: str, postgres_url: str, tmp_path: Path) -> World:
    """The smaller model of the demo, with nothing sent yet."""
    made = world_of(tmp_path / "home", kafka, postgres_url, kafka_prefix)
    made.make([MODEL], PARTITIONS)
    return made


@pytest.fixture(scope="session")
def car_loan(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Its first events, twenty thousand."""
    world = World(tmp_path_factory.mktemp("events") / "home")
    world.make([MODEL])
    return events_of(world.home.policies, MODEL, 20_000)


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[[Sequence[bytes]], Outcome]:
    """What the embedded engine comes to on events."""

    def count(events: Sequence[bytes]) -> Outcome:
        with Oracle(tmp_path / "undisturbed", [MODEL], [events]) as oracle:
            return oracle.outcome()

    return count
