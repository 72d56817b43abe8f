"""Checkpoints are taken from one state of the log, and only of a log that holds."""

import pytest

from guardian.adapters.memory.store import LOG_ID, MemoryStore
from guardian.audit.checkpoint import opened, parse_note, split_notes
from guardian.audit.signing import KeyRefusedError
from guardian.audit.verify import verify
from guardian.effects import Record
from guardian.engine.audit_signing import CheckpointRefusedError, take_checkpoint
from guardian.errors import NotFoundError
from guardian.testing.audit_logs import chained, signing_key

KEY = signing_key(1, LOG_ID)
NOW = 1_767_225_600_000


def append(store, stream, count, start=0):
    with store.begin() as transaction:
        transaction.append_records(
            [Record(stream, "note", f"{stream}-{n}", "", {"n": n}) for n in range(start, start + count)], NOW
        )


@pytest.fixture
def store():
    store = MemoryStore()
    append(store, "control", 3)
    append(store, "decisions/m", 5)
    return store


def check(store, kept):
    return verify(
        store.rows(),
        heads=store.heads(),
        checkpoint=kept,
        public_key=KEY.public(),
        stored=store.checkpoints(),
        log_id=store.log_id(),
    )


def test_a_checkpoint_covers_all_streams_is_stored_and_holds_as_the_log_grows(store):
    signed = take_checkpoint(store, KEY, NOW)
    assert [(point.origin, point.size) for point in signed.checkpoints] == [
        (f"guardian/{LOG_ID}/control", 3),
        (f"guardian/{LOG_ID}/decisions/m", 5),
    ]
    assert signed.records == 8
    assert [opened(parse_note(note), KEY.public()) for note in split_notes(signed.file)] == list(signed.checkpoints)
    assert [(row.note, row.size, row.at) for row in store.checkpoints()] == [
        (note, point.size, NOW) for note, point in zip(split_notes(signed.file), signed.checkpoints, strict=True)
    ]
    append(store, "control", 4, start=3)
    append(store, "intake/0", 2)
    assert check(store, signed.file).ok
    later = take_checkpoint(store, KEY, NOW + 1)
    assert [point.size for point in later.checkpoints] == [7, 5, 2]
    assert check(store, later.file).ok
    assert len(store.checkpoints()) == 4, "what did not grow is not stored again"


def test_taking_it_again_gives_the_same_bytes(store):
    assert take_checkpoint(store, KEY, NOW).file == take_checkpoint(store, KEY, NOW + 9).file


def rewrite(store):
    """Recompute a stream with other words, heads included."""
    rows = chained("decisions/m", [("note", {"n": "nothing"})] * 6)
    for row in rows:
        store.tables.records["decisions/m", row.seq] = row
    store.tables.heads["decisions/m"] = store.tables.heads["decisions/m"]._replace(size=6, hash=rows[-1].hash)


def test_a_log_that_was_rewritten_since_the_last_checkpoint_is_not_signed(store):
    take_checkpoint(store, KEY, NOW)
    before = store.checkpoints()
    rewrite(store)
    with pytest.raises(CheckpointRefusedError, match=r"audit\.checkpoint\.rewritten"):
        take_checkpoint(store, KEY, NOW)
    assert store.checkpoints() == before


def test_a_log_that_was_cut_or_edited_is_not_signed(store):
    take_checkpoint(store, KEY, NOW)
    del store.tables.records["decisions/m", 4]
    with pytest.raises(CheckpointRefusedError, match=r"audit\.checkpoint\.cut|audit\.head"):
        take_checkpoint(store, KEY, NOW)
    store.tables.records["decisions/m", 2] = store.tables.records["decisions/m", 2]._replace(kind="other")
    with pytest.raises(CheckpointRefusedError, match=r"audit\.column"):
        take_checkpoint(store, KEY, NOW)


def test_a_checkpoint_signed_with_an_older_key_still_binds(store):
    take_checkpoint(store, signing_key(2, LOG_ID), NOW)
    append(store, "control", 1, start=3)
    assert [point.size for point in take_checkpoint(store, KEY, NOW).checkpoints] == [4, 5]
    rewrite(store)
    with pytest.raises(CheckpointRefusedError):
        take_checkpoint(store, KEY, NOW)


def test_the_key_of_another_log_and_an_empty_log_are_refused(store):
    with pytest.raises(KeyRefusedError, match="own key"):
        take_checkpoint(store, signing_key(1, "other"), NOW)
    with pytest.raises(NotFoundError, match="no record"):
        take_checkpoint(MemoryStore(), KEY, NOW)


@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("call", [0, 1])
def test_a_crash_while_storing_leaves_notes_that_hold_and_the_next_adds_the_rest(store, call, landed, monkeypatch):
    calls = []
    real = store.put_checkpoint

    def failing(*row):
        calls.append(row)
        if len(calls) - 1 == call:
            if landed:
                real(*row)
            raise OSError("gone")
        real(*row)

    monkeypatch.setattr(store, "put_checkpoint", failing)
    with pytest.raises(OSError, match="gone"):
        take_checkpoint(store, KEY, NOW)
    monkeypatch.undo()
    assert check(store, None).ok
    signed = take_checkpoint(store, KEY, NOW)
    assert len(store.checkpoints()) == 2
    assert check(store, signed.file).ok
