"""Worlds that the tests of a fleet share: a home, topics and a database each, on servers that are started once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from services.postgres import Databases
from trial.crew import drain
from trial.events import STEMS, events_of
from trial.oracle import Oracle
from trial.world import World

from guardian.adapters.home.files import packed_data
from guardian.testing.outcomes import Outcome
from services.kafka import Broker

MODEL = "car-loan"
BOTH = ("employment-ma", "car-loan")
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


@pytest.fixture(scope="session")
def both_models(kafka: Broker, postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All of the demo's events, sent by `guardian emit --to kafka` and counted by two workers to the end."""
    name = f"guardian_test_{uuid.uuid4().hex}"
    prefix = name.replace("_", "-")
    folder = tmp_path_factory.mktemp("both-models")
    world = world_of(folder / "home", kafka, postgres.create_database(name), prefix)
    world.make(BOTH, PARTITIONS)
    for model in BOTH:
        files = [f"--{kind}={packed_data() / f'{STEMS[model]}_{kind}.parquet'}" for kind in ("predictions", "labels")]
        world.guardian("emit", "--to", "kafka", "--model", model, *files)
    wrong = drain(world, folder, 2, 300.0)
    assert wrong == []
    yield world
    kafka.delete_topics(prefix)
    postgres.drop_database(name)
