"""Somebody with SQL access changes the demo's audit log; the verifier, run as a user runs it, names what was changed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from guardian.bootstrap import open_reader, open_store
from guardian.config import Home
from guardian.pipeline.replay import replay


@pytest.fixture
def torn(demo, tmp_path):
    """A copy of the demo's home whose triggers are gone, as who holds the database can drop them."""
    home = tmp_path / "home"
    shutil.copytree(demo.home, home)
    with closing(sqlite3.connect(home / "guardian.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.commit()
    return type(demo)(home, "")


def change(home, *statements):
    with closing(sqlite3.connect(home / "guardian.db")) as database:
        for statement, *values in statements:
            assert database.execute(statement, values).rowcount == 1
        database.commit()


def verify(demo, *words):
    done = demo.run("--home", str(demo.home), "audit", "verify", *words)
    return done.returncode, done.stdout + done.stderr


def test_an_untouched_log_verifies(demo):
    code, said = verify(demo)
    assert code == 0, said


def test_the_database_itself_refuses(demo):
    with closing(sqlite3.connect(demo.home / "guardian.db")) as database:
        for attack in ("UPDATE audit_record SET body = x'00' WHERE seq = 3", "DELETE FROM audit_record WHERE seq = 3"):
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(attack)


def test_one_flipped_byte_of_a_body_is_found_and_named(torn):
    stream = "decisions/car-loan"
    with closing(sqlite3.connect(torn.home / "guardian.db")) as database:
        (body,) = database.execute("SELECT body FROM audit_record WHERE stream = ? AND seq = 700", (stream,)).fetchone()
    at = body.index(b'"verdict":"') + len(b'"verdict":"')
    flipped = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    change(torn.home, ("UPDATE audit_record SET body = ? WHERE stream = ? AND seq = 700", flipped, stream))
    code, said = verify(torn)
    assert code == 1
    assert stream in said
    assert "700" in said


def test_a_deleted_record_is_found_and_named(torn):
    change(torn.home, ("DELETE FROM audit_record WHERE stream = 'decisions/employment-ma' AND seq = 1234",))
    code, said = verify(torn)
    assert code == 1
    assert "decisions/employment-ma" in said
    assert "1234" in said


def test_a_tail_cut_off_with_its_head_is_found_by_a_checkpoint_kept_elsewhere(torn, tmp_path):
    kept = tmp_path / "kept.checkpoint"
    torn.guardian("audit", "checkpoint", "--out", str(kept))
    with closing(sqlite3.connect(torn.home / "guardian.db")) as database:
        stream = "decisions/car-loan"
        (last,) = database.execute("SELECT max(seq) FROM audit_record WHERE stream = ?", (stream,)).fetchone()
        (head,) = database.execute("SELECT hash FROM audit_record WHERE stream = ? AND seq = ?", (stream, last - 5)).fetchone()
        database.execute("DELETE FROM audit_record WHERE stream = ? AND seq > ?", (stream, last - 5))
        database.execute("UPDATE audit_head SET size = ?, hash = ? WHERE stream = ?", (last - 4, head, stream))
        database.execute("DELETE FROM checkpoint")
        database.commit()
    code, said = verify(torn)
    assert code == 0, "without a checkpoint from outside nothing shows"
    code, said = verify(torn, "--checkpoint", str(kept))
    assert code == 1
    assert stream in said
    assert "tail" in said


def test_an_export_verifies_alone_and_shows_one_changed_byte(demo, tmp_path):
    export = tmp_path / "log.jsonl"
    demo.guardian("audit", "export", "--out", str(export))
    done = demo.run("audit", "verify", "--export", str(export), "--public-key", str(demo.home / "keys/audit.pub"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    data = bytearray(export.read_bytes())
    data[len(data) // 2] ^= 1
    export.write_bytes(bytes(data))
    done = demo.run("audit", "verify", "--export", str(export), cwd=tmp_path)
    assert done.returncode == 1


def test_a_verdict_replays_by_command(demo):
    row = demo.rows("verdicts", "--rule", "SelectionRatioRac1p", "--limit", "1")[0]
    done = demo.run("--home", str(demo.home), "replay", row["id"])
    assert done.returncode == 0, done.stderr
    assert "the same, byte for byte" in done.stderr


def test_verdicts_replay_byte_for_byte(demo):
    """Every 499th of all revisions, which meets every rule, and each reason at least once."""
    home = Home(demo.home)
    reader, store = open_reader(home), open_store(home)
    rows = demo.rows("verdicts", "--all")
    firsts = {(row["policy"], row["rule"], row["severity"], row["reason"]): row for row in rows}
    for row in (*firsts.values(), *rows[::499]):
        record, position = reader.verdict_record(row["id"], row["revision"])
        done = replay(record["model"], record["body"], position, store.artifact)
        assert done.same, (row, done.now)
