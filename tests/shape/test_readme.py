"""The README does what it says: its `sh` blocks run in order, as one script, in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
LIMIT_S: Final = 300

pytestmark = pytest.mark.slow


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def said(directory: Path) -> dict[str, str]:
    """What the script printed, by the command that printed it."""
    return run_blocks("sh", directory, {})


def run_blocks(language: str, directory: Path, settings: dict[str, str]) -> dict[str, str]:
    script = "\n".join(["set -eu", *blocks(language)])
    # Each command is echoed as it runs, so that its output can be told from the others'.
    marked = re.sub(r"^guardian .*$", _echoed, script, flags=re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GUARDIAN_")} | settings | {"PATH": path}
    run = subprocess.run(["sh", "-c", marked], cwd=directory, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    parts = re.split(r"^@@ (.*)\n", run.stdout, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True)) | {"stderr": run.stderr}


def _echoed(line: re.Match[str]) -> str:
    command = re.sub(r"\s+(#|<<).*", "", line[0])
    return f"printf '@@ %s\\n' '{command}'\n{line[0]}"


def test_every_block_is_run_or_shown():
    languages = re.findall(r"^```(\w*)\n", README, re.MULTILINE)
    assert set(languages) <= {"sh", "bash", "console", ""}
    assert all(line.startswith("$ ") for block in blocks("console") for line in block.splitlines())


def test_the_example_policy_is_sound_and_its_cases_pass(said):
    assert "0 errors, 0 warnings" in said["stderr"]
    assert "3 cases, 16 evaluations, 0 failed" in said["stderr"]
    assert "never" not in said["stderr"]  # Every rung is both violated and satisfied in some case.


def test_the_example_finds_what_was_planted(said):
    alerts = said["guardian get alerts"]
    assert re.search(r"error\s+credit\s+1\s+FeatureDrift\s+column=income", alerts)
    assert re.search(r"error\s+credit\s+1\s+AccuracyDrop", alerts)
    assert "column=region" not in alerts


def test_events_arrive_and_none_is_dead(said):
    assert "8000 events sent, 0 rows rejected" in said["stderr"]
    assert "2 events sent, 0 rows rejected" in said["stderr"]
    assert len(said["guardian get deadletters"].splitlines()) == 1  # The heads alone.


def test_followers_resume_by_sequence(said):
    events = said["guardian alerts follow --once --from-sequence 3 -o jsonl"].splitlines()
    assert '"sequence":"0000000000000003"' in events[0]


def test_retraining_is_decided_by_people(said):
    row = said["guardian get retraining"].splitlines()[1]
    assert "completed" in row
    assert "ann" in row


def test_the_audit_log_verifies_and_a_verdict_replays(said):
    assert said["stderr"].count("nothing is wrong") == 2
    assert "the same, byte for byte" in said["stderr"]


def test_the_numbers_have_their_place():
    assert README.count("<!-- numbers -->") == README.count("<!-- /numbers -->") == 1
    assert README.index("## Numbers") < README.index("<!-- numbers -->") < README.index("<!-- /numbers -->")
    assert "make bench" in README


def alerts_of(table: str) -> set[tuple[str, ...]]:
    """Return (severity, model, version, rule, subject) of each row of a printed table of alerts."""
    head, *rows = table.splitlines()
    names = {found[0].lower(): found.start() for found in re.finditer(r"\S+(?: \S+)*", head)}
    starts = [*names.values(), None]
    columns = {name: slice(*starts[i : i + 2]) for i, name in enumerate(names)}
    return {tuple(row[columns[name]].strip() for name in ("severity", "model", "version", "rule", "subject")) for row in rows}


def test_a_fleet_on_kafka_comes_to_the_same(said, directory, kafka, kafka_prefix, postgres_url):
    settings = {
        "GUARDIAN_BROKER": kafka.bootstrap,
        "GUARDIAN_DATABASE": postgres_url,
        "GUARDIAN_TOPIC_PREFIX": kafka_prefix,
        "GUARDIAN_GROUP": kafka_prefix,
    }
    fleet = run_blocks("bash", directory, settings)
    alerts = alerts_of(fleet["guardian get alerts"])
    assert ("error", "credit", "1", "FeatureDrift", "column=income") in alerts
    assert alerts == alerts_of(said["guardian get alerts"])
    assert "fail" not in fleet["guardian doctor"]
