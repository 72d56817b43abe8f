"""One run of the demo for every test of what it shows: the command as a user calls it, its screen and its home."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from trial.world import World

from guardian.engine.topics import SPECS, full_name
from guardian.events.unwrap import STRUCTURED

PROGRAM = [sys.executable, "-c", "from guardian.entrypoints.cli import main; raise SystemExit(main())"]


@dataclass(frozen=True)
class Demo:
    """A finished demo: its home directory and what it printed."""

    home: Path
    screen: str

    @staticmethod
    def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
        """Run the guardian command in a process of its own."""
        return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False, timeout=900, **options)

    def guardian(self, *words: str, code: int = 0) -> str:
        """Run a command on the demo's home; fail unless it exits with `code`; return its stdout."""
        done = self.run("--home", str(self.home), *words)
        assert done.returncode == code, done.stderr
        return done.stdout

    def rows(self, *words: str) -> list[dict]:
        """Return the rows that `guardian get ...` prints as JSON."""
        return msgspec.json.decode(self.guardian("get", *words, "-o", "json"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo") / "guardian-demo"
    done = Demo.run("demo", "--dir", str(home))
    assert done.returncode == 0, done.stderr
    return Demo(home, done.stdout)


@dataclass(frozen=True)
class Fleet:
    """A finished demo through Kafka: what it printed, what lies on its topics, its environment, and the same as a world."""

    home: str
    screen: str
    environment: dict[str, str]
    messages: dict[str, list[dict[str, Any]]]
    world: World


@pytest.fixture(scope="session")
def fleet(demo, kafka, postgres, tmp_path_factory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet") / "guardian-demo"
    database = f"guardian_demo_{uuid.uuid4().hex}"
    environment = {**os.environ, "GUARDIAN_BROKER": kafka.bootstrap, "GUARDIAN_DATABASE": postgres.create_database(database)}
    done = demo.run("demo", "--to", "kafka", "--dir", str(home), env=environment)
    assert done.returncode == 0, done.stderr
    prefix = tomllib.loads((home / "guardian.toml").read_text("utf-8"))["topic_prefix"]
    messages = {spec.name: read(kafka, full_name(prefix, spec.name)) for spec in SPECS[1:]}
    world = World(home, kafka.bootstrap, environment["GUARDIAN_DATABASE"], prefix)
    yield Fleet(str(home), done.stdout, environment, messages, world)
    kafka.delete_topics(prefix)
    postgres.drop_database(database)


def read(kafka, topic: str) -> list[dict[str, Any]]:
    """Return every message of a topic, partition after partition."""

    async def fetch() -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            place = TopicPartition(topic, 0)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            found: list[Any] = []
            while len(found) < end:
                found += (await consumer.getmany(timeout_ms=1_000)).get(place, [])
            return found
        finally:
            await consumer.stop()

    records = asyncio.run(fetch())
    assert {dict(record.headers)["content-type"] for record in records} <= {STRUCTURED.encode()}
    return [msgspec.json.decode(record.value) for record in records]
