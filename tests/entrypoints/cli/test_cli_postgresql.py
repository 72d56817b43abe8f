"""A home whose settings name a PostgreSQL database: the same commands, and no file of SQLite beside it."""

import json

import pytest

from guardian import bootstrap
from guardian.config import Home
from guardian.engine.land import land
from guardian.entrypoints import cli
from guardian.testing.contracts import NOW, P, effects


@pytest.fixture
def home(tmp_path, monkeypatch, postgres_url):
    monkeypatch.delenv("GUARDIAN_DEBUG", raising=False)
    home = Home(tmp_path)
    home.settings.write_text(f'database = "{postgres_url}"\n')
    return home


def run(home, *words):
    return cli.main(["--home", str(home.root), *words])


def test_the_database_is_upgraded_checked_and_read(home, capsys):
    assert run(home, "db", "check") == 4
    assert "guardian db upgrade" in capsys.readouterr().err
    for _ in range(2):
        assert run(home, "db", "upgrade") == 0
    assert run(home, "db", "check") == 0
    assert "postgresql://" in capsys.readouterr().err
    store = bootstrap.open_store(home)
    land(store, store.claim(P, "me"), 5, effects(1), NOW)
    store.close()
    assert run(home, "get", "deadletters", "-o", "json") == 0
    assert [row["offset"] for row in json.loads(capsys.readouterr().out)] == [1]
    assert not home.database.exists()


def test_a_home_is_made_on_it(home):
    bootstrap.make_home(home)
    assert run(home, "audit", "verify") == 0
    assert home.public_key.exists()
    assert not home.database.exists()


def test_who_cannot_be_reached_is_said_without_the_password(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GUARDIAN_DATABASE", "postgresql://u:s3cret@127.0.0.1:1/n")
    for words in (["db", "check"], ["db", "upgrade"], ["get", "verdicts"]):
        assert run(Home(tmp_path), *words) == 4
        said = capsys.readouterr().err
        assert "store.busy" in said
        assert "s3cret" not in said
