"""`guardian audit` on a real SQLite database: what it prints, what it exits with, and what it notices."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from guardian import bootstrap
from guardian.adapters.keys.files import create_key_pair
from guardian.audit.export import ExportUnreadableError
from guardian.audit.signing import KeyRefusedError, log_name
from guardian.config import Home
from guardian.effects import Record
from guardian.entrypoints.cli import main
from guardian.entrypoints.cli.audit import app
from guardian.entrypoints.cli.session import begin
from guardian.errors import NotFoundError, UnreachableError, UsageError

NOW = 1_767_225_600_000
STREAM = "decisions/m"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.root.mkdir()
    bootstrap.upgrade_database(home)
    store = bootstrap.open_store(home)
    for n in range(6):
        with store.begin() as transaction:
            records = [Record(STREAM, "verdicts", f"v-{n}", "m", {"n": n}), Record("control", "activation", f"a-{n}", "", {})]
            coverage = {"from_offset": n, "to_offset": n + 1, "count": 1, "digest": ""}
            for record in [*records, Record("intake/0", "coverage", f"c-{n}", "", coverage)]:
                transaction.append_records([record], NOW + n * 1_000)
    create_key_pair(home.private_key, home.public_key, log_name(bootstrap.open_audit_log(home).log_id()))
    return home


def run(home, *arguments, raises=None):
    begin(str(home.root), None)
    result = CliRunner().invoke(app, list(arguments))
    if raises is not None:
        assert isinstance(result.exception, raises), result.output
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def in_sql(home, *statements):
    """Change the database as somebody does who can."""
    with sqlite3.connect(home.database) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_list_filters_and_says_when_there_is_more(home):
    rows = json.loads(run(home, "list", "-o", "json").stdout)
    assert len(rows) == 18
    assert list(rows[0])[:6] == ["stream", "seq", "id", "kind", "recorded_at", "model"]
    assert rows[0]["recorded_at"] == "2026-01-01T00:00:00.000Z"
    for filters, ids in (
        (["--stream", STREAM, "--limit", "2"], ["v-0", "v-1"]),
        (["--kind", "activation", "--since", "2026-01-01T00:00:04Z"], ["a-4", "a-5"]),
        (["--model", "m", "--until", "2026-01-01T01:00:01+01:00"], ["v-0"]),
        (["--stream", "none"], []),
    ):
        lines = run(home, "list", "-o", "jsonl", *filters).stdout.splitlines()
        assert [json.loads(line)["id"] for line in lines] == ids
    result = run(home, "list", "--limit", "3")
    assert result.stdout.splitlines()[0].split("  ")[0] == "STREAM"
    assert len(result.stdout.splitlines()) == 4
    assert "more than 3" in result.stderr
    run(home, "list", "--since", "yesterday", raises=UsageError)


def test_show_by_id_and_by_place(home):
    by_id, by_place = (run(home, "show", name).stdout for name in ("v-3", f"{STREAM}/3"))
    assert by_id == by_place
    said = json.loads(by_id)
    assert (said["stream"], said["seq"], said["body"]) == (STREAM, 3, {"n": 3})
    assert len(said["hash"]) == 64
    for missing in ("v-99", f"{STREAM}/99", f"{STREAM}/-1", "nothing", "", "/" + "9" * 40):
        run(home, "show", missing, raises=NotFoundError)


def test_an_honest_log_verifies_with_and_without_a_checkpoint(home, tmp_path):
    result = run(home, "verify")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "18 records in 3 streams" in result.stderr
    assert "No checkpoint kept elsewhere" in result.stderr
    kept, public = tmp_path / "kept.txt", tmp_path / "kept.pub"
    public.write_bytes(home.public_key.read_bytes())
    assert run(home, "checkpoint", "--out", str(kept)).exit_code == 0
    assert run(home, "checkpoint").stdout == kept.read_text()
    result = run(home, "verify", "--checkpoint", str(kept), "--public-key", str(public), "-o", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"], report["checkpoints"], report["remarks"]) == (0, True, 6, [])
    assert report["covered"] == [{"stream": "intake/0", "start": 0, "next": 6}]
    export = tmp_path / "log.jsonl"
    assert run(home, "export", "--out", str(export)).exit_code == 0
    alone = run(Home(tmp_path), "verify", "--export", str(export), "--checkpoint", str(kept), "--public-key", str(public))
    assert alone.exit_code == 0, alone.output
    assert run(Home(tmp_path), "verify", "--export", str(export)).exit_code == 0
    assert len(run(home, "export").stdout.splitlines()) == 1 + 3 + 18 + 3 + 1


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE audit_record SET body = replace(body, '\"n\":2', '\"n\":3') WHERE stream = 'decisions/m' AND seq = 2", 2),
        ("UPDATE audit_record SET recorded_at = recorded_at + 1 WHERE stream = 'decisions/m' AND seq = 2", 2),
        ("UPDATE audit_record SET recorded_at = 'soon' WHERE stream = 'decisions/m' AND seq = 2", 2),
        ("UPDATE audit_record SET prev = hash WHERE stream = 'decisions/m' AND seq = 2", 2),
        ("UPDATE audit_record SET hash = prev WHERE stream = 'decisions/m' AND seq = 2", 2),
        (
            (
                "UPDATE audit_record SET body = CAST(replace(CAST(body AS TEXT), '\"n\":2', '\"n\":3') AS BLOB)"
                " WHERE stream = 'decisions/m' AND seq = 2"
            ),
            2,
        ),
        ("UPDATE audit_record SET seq = 77 WHERE stream = 'decisions/m' AND seq = 2", 2),
        ("DELETE FROM audit_record WHERE stream = 'decisions/m' AND seq = 0", 0),
        ("DELETE FROM audit_record WHERE stream = 'decisions/m' AND seq = 2", 2),
        ("DELETE FROM audit_record WHERE stream = 'decisions/m' AND seq = 5", 5),
        ("DELETE FROM audit_record WHERE stream = 'decisions/m'", 0),
    ],
)
def test_a_change_in_sql_is_named_with_exit_code_one(home, statement, place):
    in_sql(home, statement)
    result = run(home, "verify")
    assert result.exit_code == 1
    assert f"First record in doubt: {STREAM}/{place}." in result.stderr
    assert f"{STREAM}/{place}: " in result.stdout
    refused = run(home, "checkpoint")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "audit.checkpoint.refused" in refused.stderr


def test_a_cut_tail_with_its_head_fixed_is_noticed_by_the_checkpoint_alone(home, tmp_path):
    kept = tmp_path / "kept.txt"
    run(home, "checkpoint", "--out", str(kept))
    in_sql(
        home,
        "DELETE FROM audit_record WHERE stream = 'decisions/m' AND seq = 5",
        "UPDATE audit_head SET size = 5, hash = (SELECT hash FROM audit_record WHERE stream = 'decisions/m' AND seq = 4)"
        " WHERE stream = 'decisions/m'",
        "DELETE FROM checkpoint",
    )
    assert run(home, "verify").exit_code == 0
    result = run(home, "verify", "--checkpoint", str(kept))
    assert result.exit_code == 1
    assert "audit.checkpoint.cut" in result.stdout
    assert f"First record in doubt: {STREAM}/5." in result.stderr


def test_what_a_stranger_wrote_reaches_no_terminal_raw(home):
    in_sql(home, "UPDATE audit_record SET kind = 'a\x1b[31m\u202e\n\x9b' WHERE stream = 'decisions/m' AND seq = 2")
    for arguments in (["verify"], ["list"], ["verify", "-o", "json"], ["show", "v-2"]):
        result = run(home, *arguments)
        assert not {"\x1b", "\u202e", "\x9b"} & set(result.output), arguments


def test_what_cannot_be_read_is_an_error_of_its_own(home, tmp_path):
    missing = str(tmp_path / "missing")
    run(Home(tmp_path / "nowhere"), "verify", raises=NotFoundError)
    for option in ("--export", "--checkpoint"):
        run(home, "verify", option, missing, raises=UnreachableError)
    run(home, "verify", "--public-key", missing, raises=NotFoundError)
    run(home, "verify", "--export", str(home.public_key), raises=ExportUnreadableError)
    run(home, "export", "--out", str(home.public_key), raises=UnreachableError)
    home.private_key.chmod(0o644)
    run(home, "checkpoint", raises=KeyRefusedError)
    home.private_key.unlink()
    run(home, "checkpoint", raises=NotFoundError)


def test_an_export_that_fails_leaves_no_file(home, tmp_path):
    in_sql(home, "UPDATE audit_record SET body = x'0a' WHERE stream = 'decisions/m' AND seq = 2")
    out = tmp_path / "log.jsonl"
    assert run(home, "export", "--out", str(out), raises=Exception).exit_code == 1
    assert not out.exists()


def test_exit_codes_of_the_whole_command(home, tmp_path, capfd):
    def code(*arguments, at=home.root):
        return main(["--home", str(at), "audit", *arguments])

    assert code("verify") == 0
    assert code("verify", at=tmp_path / "nowhere") == 4
    assert code("verify", "--export", str(tmp_path / "nowhere")) == 4
    assert code("list", "--until", "later") == 2
    assert code("verify", "--nonsense") == 2
    in_sql(home, "UPDATE audit_record SET id = 'x' WHERE stream = 'decisions/m' AND seq = 2")
    capfd.readouterr()
    assert code("verify") == 1
    out, words = capfd.readouterr()
    assert out.startswith("audit.column: decisions/m/2: ")
    assert words.endswith("First record in doubt: decisions/m/2.\n")
    assert code("checkpoint") == 1
    home.database.write_bytes(b"no database at all" * 1_000)
    assert code("verify") == 4
