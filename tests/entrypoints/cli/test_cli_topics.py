"""`guardian topics` against a broker."""

import json

import pytest

from guardian.adapters.kafka import admin
from guardian.bootstrap import broker_of, open_store, upgrade_database
from guardian.config import Home, Settings
from guardian.entrypoints.cli import main
from guardian.entrypoints.cli.broker import standings_of


@pytest.fixture
def home(tmp_path, monkeypatch, kafka, kafka_prefix):
    monkeypatch.setenv("GUARDIAN_BROKER", kafka.bootstrap)
    monkeypatch.setenv("GUARDIAN_TOPIC_PREFIX", kafka_prefix)
    return Home(tmp_path)


def run(home, *words):
    return main(["--home", str(home.root), "topics", *words])


def rows(home, capsys, *words, code=0):
    assert run(home, *words, "-o", "json") == code
    return json.loads(capsys.readouterr().out)


def test_topics_are_made_once_and_found_well(home, capsys):
    assert {row["action"] for row in rows(home, capsys, "create", "--dry-run", "--partitions", "3")} == {"would be made"}
    assert admin.partitions(broker_of(Settings.load(home)), broker_of(Settings.load(home)).events) == 0
    made = rows(home, capsys, "create", "--partitions", "3")
    assert [row["action"] for row in made] == ["made"] * 6
    assert [row["partitions"] for row in made] == [3, 1, 1, 1, 1, 1]
    again = rows(home, capsys, "create", "--partitions", "5")
    assert [(row["action"], row["partitions"]) for row in again] == [("exists", row["partitions"]) for row in made]
    assert {row["state"] for row in rows(home, capsys, "check")} == {"ok"}


def test_nothing_made_is_a_finding_with_what_to_do(home, capsys):
    assert run(home, "check") == 1
    out, err = capsys.readouterr()
    assert out.count("it does not exist") == 6
    assert err.count("run guardian topics create") == 6


def test_a_topic_that_differs_from_what_is_counted_is_a_finding(home, capsys):
    upgrade_database(home)
    settings = Settings.load(home)
    open_store(home).ensure_partitions(broker_of(settings).events, 4)
    assert len(standings_of(home, settings)) == 4
    assert run(home, "create", "--partitions", "3") == 2
    assert "guardian counts 4 partitions" in capsys.readouterr().err
    config = {"retention.ms": "3600000"}
    admin.create_topics(broker_of(settings), [admin.NewTopicSpec(broker_of(settings).events, 2, 1, config)])
    found = {row["what"] for row in rows(home, capsys, "check", code=1) if row["check"].endswith(".events")}
    assert len(found) == 3
    assert any("2 partitions, and guardian counts 4" in what for what in found)
    assert any("keeps 1h" in what for what in found)
    assert any("records of 1,048,588 bytes" in what for what in found)


def test_the_log_is_made_with_as_many_partitions_as_are_counted(home, capsys):
    upgrade_database(home)
    open_store(home).ensure_partitions(broker_of(Settings.load(home)).events, 4)
    assert rows(home, capsys, "create")[0]["partitions"] == 4


def test_no_broker_is_no_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GUARDIAN_BROKER", "127.0.0.1:1")
    for words in (["check"], ["create"]):
        assert run(Home(tmp_path), *words) == 4
        assert "127.0.0.1:1" in capsys.readouterr().err
