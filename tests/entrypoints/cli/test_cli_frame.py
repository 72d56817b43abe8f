"""The frame of the command line: exit codes, one line an error, formats, and what is imported when."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from typing import get_args

import pytest

from guardian.adapters.sql.store import SqlStore
from guardian.audit.record import RecordRefusedError
from guardian.bootstrap import make_home, open_database, open_store, upgrade_database
from guardian.config import Home
from guardian.effects import Effects
from guardian.engine.land import land
from guardian.entrypoints import cli
from guardian.entrypoints.cli.demo import BrokenLogError, _verify
from guardian.entrypoints.cli.get import Severe
from guardian.entrypoints.cli.help_topics import TOPICS
from guardian.entrypoints.cli.output import cell, emit
from guardian.entrypoints.cli.session import Format
from guardian.errors import (
    GuardianError,
    InvalidFileError,
    InvalidStateError,
    Mistake,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from guardian.policies import model as policies
from guardian.testing.contracts import NOW, P, effects, said

# Not pydantic: typer itself reads options of sub-commands with it.
HEAVY = (
    "alembic", "evidently", "fairlearn", "faust", "msgspec", "numpy", "pandas", "pyarrow", "rich", "scipy", "shap", "sklearn",
    "sqlalchemy", "sqlmodel",
)  # fmt: skip
GUARDIAN = (sys.executable, "-c", "import sys; from guardian.entrypoints.cli import main; sys.exit(main())")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("GUARDIAN_DEBUG", raising=False)
    upgrade_database(Home(tmp_path))
    return Home(tmp_path)


def run(home, *words):
    return cli.main(["--home", str(home.root), *words])


@pytest.mark.parametrize(
    "words", [["--help"], ["policy", "--help"], ["get", "--help"], ["alerts", "follow", "--help"], ["help", "output"]]
)
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys\nfrom guardian.entrypoints.cli import main\n"
        f"assert main({words!r}) == 0\nprint(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout


def test_every_listed_command_loads():
    for table in (cli.COMMANDS, cli.POLICY_COMMANDS):
        for name, command in table.items():
            if name != "policy":
                assert cli.load(name, command).name == name


def test_a_command_that_is_not_there_is_a_usage_error(home, capsys):
    assert run(home, "alers") == 2
    assert "Did you mean 'alerts'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidFileError([]), 1),
        (UsageError("what", hint="how"), 2),
        (UnreachableError("what", hint="how"), 4),
        (NotFoundError("what", hint="how"), 4),
        (InvalidStateError("what", hint="how"), 4),
        (RecordRefusedError("what", hint="how"), 4),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert error.exit_code == code


def broken(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("guardian.bootstrap.open_reader", fail)


def test_an_error_is_one_line_on_stderr(home, monkeypatch, capsys):
    broken(monkeypatch, GuardianError("what\nhappened", hint="how"))
    assert run(home, "get", "models") == 4
    assert capsys.readouterr() == ("", "guardian: what happened (hint: how)\n")


def test_every_mistake_of_a_file_is_a_line(home, monkeypatch, capsys):
    broken(monkeypatch, InvalidFileError([Mistake("file.x", "a.yaml", line, 1, "what", "how") for line in (3, 4)]))
    assert run(home, "get", "models") == 1
    assert capsys.readouterr().err == "".join(f"a.yaml:{line}:1: error: file.x: what (hint: how)\n" for line in (3, 4))


def test_the_unforeseen_has_a_code_of_its_own_and_no_traceback(home, monkeypatch, capsys):
    broken(monkeypatch, ZeroDivisionError("oh"))
    assert run(home, "get", "models") == 70
    err = capsys.readouterr().err
    assert err.startswith("internal: ZeroDivisionError: oh")
    assert err.count("\n") == 1


def test_debug_shows_the_traceback(home, monkeypatch):
    broken(monkeypatch, ZeroDivisionError("oh"))
    monkeypatch.setenv("GUARDIAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(home, "get", "models")


def test_a_home_without_a_database_is_not_found(tmp_path, capsys):
    for words in (["db", "check"], ["get", "verdicts"], ["alerts", "follow", "--once"]):
        assert run(Home(tmp_path), *words) == 4
        assert "guardian init" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_database_is_upgraded_and_checked(tmp_path):
    home = Home(tmp_path)
    assert run(home, "db", "upgrade") == 0
    assert run(home, "db", "check") == 0
    assert run(Home(tmp_path / "nowhere"), "db", "upgrade") == 4


def test_the_home_comes_from_the_environment_too(home, monkeypatch):
    monkeypatch.setenv("GUARDIAN_HOME", str(home.root))
    assert cli.main(["db", "check"]) == 0


@pytest.mark.parametrize("topic", TOPICS)
def test_help_topics(home, topic, capsys):
    assert run(home, "help", topic) == 0
    assert capsys.readouterr().out == TOPICS[topic]
    assert run(home, "help", "nothing") == 2


@pytest.mark.parametrize(
    "command", ["models", "windows", "measurements", "verdicts", "alerts", "audit", "retraining", "deadletters"]
)
def test_an_empty_home_gets_empty_rows(home, command, capsys):
    for words in (["-o", "json", "get", command], ["get", command, "-o", "json"]):
        assert run(home, *words) == 0
        assert json.loads(capsys.readouterr().out) == []
    assert run(home, "get", command) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_get_audit_prints_records_in_every_format(home, capsys):
    store = open_store(home)
    land(store, store.claim(P, "me"), 1, effects(1), NOW)
    assert run(home, "get", "audit", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["body"] == {"step": 1}
    assert run(home, "get", "audit", "-o", "jsonl") == 0
    assert json.loads(capsys.readouterr().out) == row
    assert run(home, "get", "audit") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["RECORDED", "AT"]
    assert "decisions/m" in line
    assert run(home, "get", "audit", "--since", "yesterday") == 2
    assert run(home, "get", "audit", "--until", "2000-01-01", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_what_a_table_cannot_hold_is_cut_and_made_harmless(capsys):
    emit([{"a": "x" * 99, "b": "\x1b[31mred\nline"}], ["a", "b"], Format.TABLE)
    out = capsys.readouterr().out
    assert out.count("\n") == 2
    assert "\x1b" not in out
    assert len(cell("x" * 99)) == 60


@pytest.mark.parametrize(
    "words",
    [
        ("get", "verdicts", "--verdict", "violatd"),
        ("get", "verdicts", "--severity", "eror"),
        ("get", "alerts", "--state", "requested"),
        ("get", "retraining", "--state", "firing"),
        ("retrain", "list", "--state", "open"),
        ("audit", "list", "--since", "yesterday"),
        ("emit", "--events", "-", "--as-of", "now"),
        ("alerts", "follow", "--once", "-o", "json"),
        ("policy", "check", "-o", "json"),
    ],
)
def test_a_word_that_means_nothing_is_a_usage_error(home, words):
    assert run(home, *words) == 2


def test_the_severities_to_filter_by_are_those_of_rules():
    assert tuple(Severe) == get_args(policies.Severity)


def test_a_day_is_its_first_moment_wherever_an_instant_is_asked_for(home, capsys):
    store = open_store(home)
    land(store, store.claim(P, "me"), 1, effects(1), NOW)
    for words in (["audit", "list"], ["get", "audit"]):
        assert run(home, *words, "--since", "1970-01-01", "--until", "9000-01-01", "-o", "json") == 0
        assert len(json.loads(capsys.readouterr().out)) == 1


def announce(home, *names):
    store = SqlStore(open_database(home))
    claim = store.claim(P, "me")
    land(store, claim, claim.next_offset, Effects(announcements=[said(name) for name in names]), NOW)
    store.close()


def test_alerts_are_followed_once_from_a_sequence(home, capsys):
    announce(home, "a", "b", "c")
    assert run(home, "alerts", "follow", "--once", "-o", "jsonl", "--from-sequence", "2") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(event["id"], int(event["sequence"])) for event in events] == [("b", 2), ("c", 3)]
    assert all(event["specversion"] == "1.0" and event["source"] == "/guardian" for event in events)
    assert run(home, "alerts", "follow", "--once") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "3"]


def following(home):
    command = [*GUARDIAN, "--home", str(home.root), "alerts", "follow", "-o", "jsonl"]
    follow = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(30, follow.kill)  # A test that hangs says nothing.
    watchdog.start()
    return follow, watchdog


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_goes_on_and_ends_cleanly_on_a_signal(home, number):
    announce(home, "a")
    follow, watchdog = following(home)
    assert json.loads(follow.stdout.readline())["id"] == "a"
    announce(home, "b")
    assert json.loads(follow.stdout.readline())["id"] == "b"
    os.kill(follow.pid, number)
    assert follow.communicate() == ("", "")
    watchdog.cancel()
    assert follow.returncode == 0


def test_a_reader_that_goes_away_is_no_failure(home):
    announce(home, *(f"alert {n}" for n in range(2_000)))
    follow, watchdog = following(home)
    follow.stdout.readline()
    follow.stdout.close()
    assert follow.stderr.read() == ""
    assert follow.wait() == 0
    watchdog.cancel()
    follow.stderr.close()


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("kind", ["file", "link", "full"])
def test_the_demo_deletes_nothing_that_guardian_did_not_make(tmp_path, kind, options):
    target = tmp_path / "target"
    (tmp_path / "elsewhere").mkdir()
    match kind:
        case "file":
            target.write_text("mine")
        case "link":
            target.symlink_to(tmp_path / "elsewhere")
        case _:
            target.mkdir()
            (target / "mine").touch()
    assert cli.main(["demo", "--dir", str(target), *options]) == 2
    assert os.path.lexists(target)


def test_a_demo_whose_log_does_not_verify_fails(home, capsys):
    make_home(home)
    store = open_store(home)
    land(store, store.claim(P, "me"), 1, effects(1), NOW)
    assert _verify(home) == 1
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE audit_head SET size = 2")
    with pytest.raises(BrokenLogError) as failed:
        _verify(home)
    assert failed.value.exit_code == 1
