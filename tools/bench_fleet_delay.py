"""How long it takes from the event that moves a clock to the verdict, and its alert, in the database.

A worker of all duties counts and judges several models, whose clocks are moved in turn: the event that moves one is sent to every
partition, because a clock is the least of all partitions'. The delay runs from the broker's last acknowledgement until another
connection sees the verdict; alert and verdict come in one commit. Every other window is one event short, so that each opens or
closes an alert.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import bench_world as world
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_fleet_ground import CORES, PARTITIONS, PROGRAM, START_S, Worker
from sqlalchemy import func, select

from guardian.adapters.kafka.log import CONTENT_TYPE
from guardian.adapters.kafka.producer import Outgoing, Producer
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.tables import table
from guardian.events.encode import PredictionData, encode_prediction
from guardian.events.placement import partitions_of
from guardian.units import DAY_MS

if TYPE_CHECKING:
    from pathlib import Path

    from bench_fleet_ground import Ground

MODELS: Final = tuple(f"bench-{number}" for number in range(8))
LOOK_S: Final = 0.002
PACE_S: Final = 0.3  # Between two models' events, plus its own jitter: so that they fall at any point of anybody's pauses.
LIMIT_S: Final = 60.0
HEAD: Final = {"apiVersion": "guardian/v1alpha1"}


def delays(ground: Ground, instants: int, settings: dict[str, str]) -> tuple[np.ndarray, int]:
    """Return the seconds of each instant, shape (instants,), and how many alerts were opened."""
    prefix, name = ground.name("delay"), ground.name("delays")
    home = ground.home / name
    url = ground.postgres.create_database(name)
    variables = {"DATABASE": url, "BROKER": ground.kafka.bootstrap, "TOPIC_PREFIX": prefix, "GROUP": prefix, **settings}
    _make(home, variables)
    broker = ground.broker(prefix)
    database, producer = Database.at_url(url), Producer(broker)
    worker = Worker(home, "all", (), variables, CORES[0])
    try:
        trial = _Trial(database, producer, broker.events, worker)
        found = trial.run(instants)
        worker.stop()
        return found, trial.count(select(func.count()).select_from(table("alert")))
    finally:
        worker.kill()
        producer.close()
        database.close()
        ground.postgres.drop_database(name)


class _Trial:
    def __init__(self, database: Database, producer: Producer, topic: str, worker: Worker) -> None:
        self._database, self._producer, self._topic, self._worker = database, producer, topic, worker
        self._ids = 0
        self._days = dict.fromkeys(MODELS, 0)
        self._sent: dict[str, float] = {}
        self._delays: list[float] = []

    def run(self, instants: int) -> np.ndarray:
        """Move clocks until as many instants were passed; those of the first two days of each model warm up."""
        dice = np.random.default_rng(world.SEED)
        warm, next_at = 2 * len(MODELS), time.monotonic()
        end = time.monotonic() + START_S + (warm + instants) * PACE_S * 8
        while len(self._delays) < warm + instants:
            self._look()
            free = [model for model in MODELS if model not in self._sent]
            if time.monotonic() >= next_at and free:
                self._move(min(free, key=self._days.__getitem__))
                next_at = time.monotonic() + PACE_S * (0.5 + dice.random())
            self._worker.check()
            if time.monotonic() > end:
                raise SystemExit(f"{len(self._delays)} instants were judged in time:\n{self._worker.said[-3_000:]}")
            time.sleep(LOOK_S)
        return np.array(self._delays[warm : warm + instants])

    def _move(self, model: str) -> None:
        """Send the first events of a model's next day, which ends the day before it."""
        day = self._days[model]
        records = [self._event(model, day, number) for number in range(PARTITIONS) for _ in range(1 + day % 2)]
        self._producer.send(self._topic, records)
        if day > 1:  # The first day ends no window, and a window that the model does not fill is not judged.
            self._sent[model] = time.perf_counter()
        self._days[model] += 1

    def _event(self, model: str, day: int, partition: int) -> Outgoing:
        while True:  # Ids belong to partitions: one is found after a few.
            self._ids += 1
            id_ = f"{model}/{self._ids:08d}"
            if partitions_of("murmur2", [id_], PARTITIONS)[0] == partition:
                break
        features = dict.fromkeys(world.NUMERIC, 50.0) | {name: f"{name[:4]}_0" for name in world.CATEGORIES}
        data = PredictionData(model=model, version="1", features=features, prediction="yes", score=0.7)
        event = encode_prediction(id_, world.START + day * DAY_MS + self._ids % 1_000, data, "/serving/b")
        return Outgoing(id_.encode(), event, CONTENT_TYPE, int(time.time() * 1_000), partition)

    def _look(self) -> None:
        if not self._sent:
            return
        verdict = table("verdict").c
        with self._database.reading() as connection:
            found: Any = connection.execute(select(verdict.model, func.max(verdict.window_end)).group_by(verdict.model))
            ends = dict(found.all())
        now = time.perf_counter()
        for model, sent in list(self._sent.items()):
            if ends.get(model, 0) >= world.START + (self._days[model] - 1) * DAY_MS:
                self._delays.append(now - sent)
                del self._sent[model]

    def count(self, statement: Any) -> int:
        with self._database.reading() as connection:
            return int(connection.execute(statement).scalar_one())


def _make(home: Path, variables: dict[str, str]) -> None:
    """Make a home with the models, their reference and a policy, and the topics."""
    _guardian(home, variables, "init")
    rows = world.Rows(5_000, 0)
    columns = {**rows.numbers, **rows.texts, "prediction": rows.predictions, "score": rows.scores, "label": rows.labels}
    pq.write_table(
        pa.table({name: pa.array(values.tolist()) for name, values in columns.items()}), home / "data/reference.parquet"
    )
    file = world.model_file(segments=False).to_json()
    file["spec"] |= {"allowed_lateness": "0s", "columns": {"score": "score"}}
    for model in MODELS:
        (home / f"policies/{model}.yaml").write_bytes(msgspec.json.encode(file | {"metadata": {"name": model}}))
    rules = [
        {"alert": "Volume", "metric": "quality.volume", "error": "< 6", "require": {"rows": 1}},
        {"alert": "Drift", "metric": "drift.psi", "columns": "all", "warn": "> 0.1", "error": "> 0.2"},
    ]
    defaults = {"window": "1d", "every": "1d", "open_after": 1, "close_after": 1}
    policy = {**HEAD, "kind": "Policy", "metadata": {"name": "delays"}}
    policy["spec"] = {"match": {"models": list(MODELS)}, "defaults": defaults, "rules": rules}
    (home / "policies/delays.yaml").write_bytes(msgspec.json.encode(policy))
    _guardian(home, variables, "topics", "create", "--partitions", str(PARTITIONS))


def _guardian(home: Path, variables: dict[str, str], *words: str) -> None:
    environment = {**os.environ, **{f"GUARDIAN_{name}": value for name, value in variables.items()}}
    done = subprocess.run(  # noqa: S603 - our own command
        [*PROGRAM, "--home", str(home), *words], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"guardian {' '.join(words)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
