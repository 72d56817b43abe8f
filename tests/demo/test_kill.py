"""Killed at any moment, run again: the same panes, revisions, alerts and requests as a run that nobody disturbed.

Two months of real car-loan events around the planted shift, in steps of 100 events. One home is run through; the other is killed
20 times, at seeded places inside the commit and from outside at seeded moments, before it may finish.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import guardian
from guardian.adapters.failpoints import NAMES

KILLS = 20
SEED = 20190331
DATA = Path(guardian.__file__).parent / "demo_data"
POLICIES = Path(__file__).parents[2] / "policies"
FIRST, LAST = datetime(2019, 3, 20, tzinfo=UTC), datetime(2019, 5, 20, tzinfo=UTC)
PROGRAM = [sys.executable, "-c", "from guardian.entrypoints.cli import main; raise SystemExit(main())"]

# What a run leaves behind that must not depend on whether it was disturbed.
SAME = {
    "panes": "SELECT model, version, start, space, hex(blob) FROM pane ORDER BY 1, 2, 3, 4",
    "intake": "SELECT model, pane, counter, n FROM fate ORDER BY 1, 2, 3",
    "revisions": "SELECT id, revision, final, latest, verdict, reason, due_at, record, position FROM verdict ORDER BY 1, 2",
    "alerts": "SELECT id, state, row FROM alert ORDER BY 1",
    "requests": "SELECT id, state, row FROM retraining ORDER BY 1",
    "announcements": "SELECT topic, seq, msg_id FROM outbox ORDER BY 1, 2",
}


def guardian_run(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GUARDIAN_BATCH_EVENTS": "100", **variables}
    command = [*PROGRAM, "--home", str(home), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with its events in the inbox and nothing counted yet."""
    home = tmp_path_factory.mktemp("kill") / "prepared"
    ok(guardian_run(home, "init"))
    for file in POLICIES.glob("car-loan*.yaml"):
        text = file.read_text().replace("horizon: 120d", "horizon: 40d").replace("window: 30d", "window: 14d")
        (home / "policies" / file.name).write_text(text)
    predictions = pq.read_table(DATA / "car_loan_predictions.parquet")
    predictions = predictions.filter(pc.and_(pc.greater(predictions["time"], FIRST), pc.less(predictions["time"], LAST)))
    labels = pq.read_table(DATA / "car_loan_labels.parquet")
    labels = labels.filter(pc.is_in(labels["id"], predictions["id"].combine_chunks()))
    for name, table in (("predictions", predictions), ("labels", labels)):
        pq.write_table(table, home / "data" / f"{name}.parquet")
    (home / "data" / "car_loan_reference.parquet").write_bytes((DATA / "car_loan_reference.parquet").read_bytes())
    files = ("--predictions", str(home / "data/predictions.parquet"), "--labels", str(home / "data/labels.parquet"))
    ok(guardian_run(home, "emit", "--model", "car-loan", *files))
    return home


def copied(home: Path, name: str) -> Path:
    """Copy a home, the database through SQLite so that its log file comes along."""
    target = home.parent / name
    for path in home.rglob("*"):
        if path.is_file() and not path.name.startswith("guardian.db"):
            copy = target / path.relative_to(home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(path.stat().st_mode)
    with closing(sqlite3.connect(home / "guardian.db")) as source, closing(sqlite3.connect(target / "guardian.db")) as sink:
        source.backup(sink)
    return target


def left_behind(home: Path) -> dict[str, list]:
    with closing(sqlite3.connect(home / "guardian.db")) as database:
        found = {name: database.execute(query).fetchall() for name, query in SAME.items()}
        decisions = database.execute(
            "SELECT body FROM audit_record WHERE stream LIKE 'decisions/%' ORDER BY stream, seq"
        ).fetchall()
    records = [msgspec.json.decode(body) for (body,) in decisions]
    found["decisions"] = [{k: v for k, v in record.items() if k not in {"recorded_at", "prev"}} for record in records]
    return found


def killed_from_outside(home: Path, seconds: float) -> None:
    environment = {**os.environ, "GUARDIAN_BATCH_EVENTS": "100"}
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(home), "up"], env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait(60) == -9


def test_killed_twenty_times_the_outcome_is_that_of_an_undisturbed_run(prepared):
    calm, torn = copied(prepared, "calm"), copied(prepared, "torn")
    ok(guardian_run(calm, "up", "--until-idle", "--finalise"))
    dice = random.Random(SEED)
    died = 0
    for _ in range(KILLS):
        if dice.random() < 0.25:
            killed_from_outside(torn, dice.uniform(0.4, 1.6))
            died += 1
            continue
        place = f"{dice.choice(NAMES)}:1@{dice.randint(1, 3)}"
        done = guardian_run(torn, "up", "--until-idle", GUARDIAN_FAILPOINTS=place)
        assert done.returncode == -9, (place, done.stderr)
        died += 1
    assert died == KILLS
    ok(guardian_run(torn, "up", "--until-idle", "--finalise"))
    expected, found = left_behind(calm), left_behind(torn)
    for name in expected:
        assert found[name] == expected[name], name
    assert expected["alerts"]
    assert expected["requests"]
    ok(guardian_run(torn, "audit", "verify"))
