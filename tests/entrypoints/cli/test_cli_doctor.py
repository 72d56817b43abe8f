"""`guardian doctor` on homes that are well and homes that are not."""

import json
import sqlite3
from pathlib import Path

import pytest

from guardian.bootstrap import broker_of, make_home, open_store, upgrade_database
from guardian.config import Home, Settings
from guardian.engine.halt import halt
from guardian.engine.ports import Partition
from guardian.entrypoints.cli import main
from guardian.entrypoints.cli.doctor import examine
from guardian.testing.contracts import NOW

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    assert main(["init", str(home.root), "--examples"]) == 0
    return home


def doctor(home, capsys, *words, code):
    """Return the findings that are not well, by check, with what they say and what to do."""
    capsys.readouterr()
    assert main(["--home", str(home.root), "doctor", "-o", "json", *words]) == code
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert rows
    bad = [row for row in rows if row["state"] != "ok"]
    assert err.splitlines() == [f"{row['check']}: {row['what']} (hint: {row['hint']})" for row in bad]
    assert all(row["hint"] for row in bad)
    return {row["check"]: (row["state"], row["what"], row["hint"]) for row in bad}


def test_a_new_home_is_well(home, capsys):
    before = sorted(home.root.rglob("*"))
    assert doctor(home, capsys, code=0) == {}
    assert sorted(home.root.rglob("*")) == before
    with sqlite3.connect(home.database) as connection:
        assert connection.execute("SELECT key FROM meta").fetchall() == [("log_id",)]
    assert main(["--home", str(home.root), "doctor"]) == 0
    assert "signing key  ok" in capsys.readouterr().out


def test_no_home_and_no_database(tmp_path, capsys):
    assert doctor(Home(tmp_path / "no"), capsys, code=1)["home"][2] == "run guardian init, or name another with --home"
    bad = doctor(Home(tmp_path), capsys, code=1)
    assert bad["database"][2] == "run guardian init, or name the directory with --home"
    assert list(tmp_path.iterdir()) == []


def test_an_old_schema_is_to_be_upgraded(home, capsys):
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert doctor(home, capsys, code=1)["database"][::2] == ("fail", "run guardian db upgrade")


def test_mistakes_in_files_are_told_and_the_rest_is_looked_at(home, capsys):
    home.settings.write_text("polls = '1s'\n")
    (home.policies / "bad.policy.yaml").write_text("kind: Policy\n")
    bad = doctor(home, capsys, code=1)
    assert bad.keys() >= {"home", "policies"}
    assert "did you mean poll?" in bad["home"][2]
    assert bad["policies"][2] == "run guardian policy check"


def test_a_home_without_models_is_worth_a_look(tmp_path, capsys):
    home = Home(tmp_path / "home")
    make_home(home)
    assert doctor(home, capsys, code=0)["policies"][0] == "warn"


def test_a_key_that_others_can_read(home, capsys):
    home.private_key.chmod(0o640)
    assert f"chmod 600 {home.private_key}" in doctor(home, capsys, code=1)["signing key"][2]


def test_keys_that_are_not_there_or_no_pair(home, tmp_path, capsys):
    other = Home(tmp_path / "other")
    make_home(other)
    home.public_key.write_bytes(other.public_key.read_bytes())
    assert "does not belong to" in doctor(home, capsys, code=1)["signing key"][1]
    home.private_key.unlink()
    assert "there is no key" in doctor(home, capsys, code=1)["signing key"][1]


def test_a_trigger_that_is_gone(home, capsys):
    with sqlite3.connect(home.database) as connection:
        connection.execute("DROP TRIGGER audit_record_refuses_update")
    assert "audit_record_refuses_update" in doctor(home, capsys, code=1)["append-only"][1]


def test_a_database_that_cannot_be_written(home, capsys):
    with sqlite3.connect(home.database) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert "no room" in doctor(home, capsys, code=1)["database"][1]


def test_a_lease_that_ran_out(home, capsys):
    assert open_store(home).acquire("engine", "gone/1", 1, NOW) == 1
    assert "gone/1 held it until 2023" in doctor(home, capsys, code=0)["lease engine"][1]


def test_an_unreachable_broker_is_no_finding_of_a_fault(home, capsys, monkeypatch):
    monkeypatch.setenv("GUARDIAN_BROKER", NOWHERE)
    assert NOWHERE in doctor(home, capsys, code=4)["broker"][1]
    home.private_key.chmod(0o640)
    assert doctor(home, capsys, code=1).keys() == {"broker", "signing key"}


def test_an_unreachable_server_of_the_database(home, capsys, monkeypatch):
    monkeypatch.setenv("GUARDIAN_DATABASE", f"postgresql://someone:secret@{NOWHERE}/guardian")
    monkeypatch.setenv("GUARDIAN_BROKER", NOWHERE)
    bad = doctor(home, capsys, code=4)
    assert bad.keys() == {"database", "broker"}
    assert "secret" not in str(bad)


@pytest.mark.parametrize("is_fleet", [True, False])
def test_a_home_that_cannot_be_written_is_no_fault_in_a_fleet(is_fleet, monkeypatch):
    if is_fleet:
        monkeypatch.setenv("GUARDIAN_DATABASE", f"postgresql://someone@{NOWHERE}/guardian")
    monkeypatch.setenv("GUARDIAN_BROKER", NOWHERE)
    found = list(examine(Home(Path("/proc/self")), kafka=False))  # Nobody can make a file there, root neither.
    assert any("cannot be written" in each.what for each in found) is not is_fleet
    assert any(each.check == "disk" and "free at" in each.what for each in found)


@pytest.fixture
def fleet(home, capsys, monkeypatch, kafka, kafka_prefix):
    """A home whose log is in Kafka, with all topics made."""
    monkeypatch.setenv("GUARDIAN_BROKER", kafka.bootstrap)
    monkeypatch.setenv("GUARDIAN_TOPIC_PREFIX", kafka_prefix)
    assert main(["--home", str(home.root), "topics", "create", "--partitions", "2"]) == 0
    return home


def test_a_fleet_on_postgresql(fleet, postgres_url, monkeypatch, capsys):
    monkeypatch.setenv("GUARDIAN_DATABASE", postgres_url)
    assert doctor(fleet, capsys, code=1)["database"][2] == "run guardian db upgrade"
    upgrade_database(fleet)
    fleet.private_key.unlink()
    fleet.public_key.unlink()
    make_home(fleet)
    assert doctor(fleet, capsys, code=0) == {}
    store = open_store(fleet)
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_record DISABLE TRIGGER audit_record_append_only")
    store.database.close()
    assert "audit_record_append_only" in doctor(fleet, capsys, code=1)["append-only"][1]


def test_topics_that_are_not_there(home, capsys, monkeypatch, kafka):
    monkeypatch.setenv("GUARDIAN_TOPIC_PREFIX", "nobody-made-these")
    monkeypatch.setenv("GUARDIAN_BROKER", kafka.bootstrap)
    bad = doctor(home, capsys, code=1)
    assert len(bad) == 6
    assert {hint for *_, hint in bad.values()} == {"run guardian topics create"}


def test_a_halted_partition_is_found_and_resumed(fleet, capsys):
    place = Partition(broker_of(Settings.load(fleet)).events, 1)
    store = open_store(fleet)
    store.ensure_partitions(place.topic, 2)
    halt(store, store.claim(place, "me"), "it is another log", NOW)
    bad = doctor(fleet, capsys, code=1)
    assert bad[f"partition {place.topic}/1"][0] == "fail"
    assert main(["--home", str(fleet.root), "topics", "check"]) == 1
    resume = ["--home", str(fleet.root), "topics", "resume", "1", "--by", "Ada", "--note", "the topic was restored"]
    assert main(resume) == 0
    assert doctor(fleet, capsys, code=0) == {}
    assert main(["--home", str(fleet.root), "get", "audit", "-o", "json"]) == 0
    resumed = json.loads(capsys.readouterr().out)[-1]
    assert resumed["kind"] == "resumed"
    assert resumed["body"] == {"offset": 0, "by": "Ada", "note": "the topic was restored"}
    assert main(resume) == 4
    assert "is not halted" in capsys.readouterr().err


def test_resuming_needs_a_note(fleet):
    assert main(["--home", str(fleet.root), "topics", "resume", "1"]) == 2
