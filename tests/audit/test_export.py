"""Exports: what goes out comes back byte for byte, and no damage goes unnoticed."""

import json
import random
from itertools import pairwise

import pytest

from guardian.audit.checkpoint import parse_note, split_notes
from guardian.audit.export import ExportReader, ExportRefusedError, ExportUnreadableError, export_lines, verify_export
from guardian.audit.leaf import StoredCheckpoint
from guardian.audit.report import Flaw
from guardian.testing.audit_logs import STARTED_AT, checkpoint_of, log_of, signing_key, small_log

LOG = small_log()
KEY = signing_key()
KEPT = [
    StoredCheckpoint(said.origin, said.size, said.root.hex(), note, STARTED_AT)
    for note in split_notes(checkpoint_of(small_log(7), KEY))
    for said in [parse_note(note).checkpoint]
]
LINES = list(export_lines("test", STARTED_AT, checkpoints=KEPT, rows=LOG.rows, heads=LOG.heads))
DATA = b"".join(LINES)


def lines_of(data):
    return data.splitlines(keepends=True) if b"\r" not in data else [line + b"\n" for line in data.split(b"\n")]


def check(data, **more):
    return verify_export(iter(lines_of(data)), **more)


def test_an_export_is_read_back_as_it_was():
    reader = ExportReader(LINES)
    assert reader.log_id == "test"
    assert list(reader.checkpoints()) == KEPT
    assert list(reader.records()) == list(LOG.rows)
    assert list(reader.heads()) == list(LOG.heads)
    assert reader.finish() == []


def test_an_export_verifies_alone():
    report = check(DATA, checkpoint=checkpoint_of(LOG, KEY), public_key=KEY.public())
    assert report.ok
    assert (report.records, report.streams, report.checkpoints) == (36, 3, 6)
    assert check(b"".join(export_lines("test", 0, checkpoints=[], rows=[], heads=[]))).ok


def test_every_line_is_json_and_a_record_stands_in_its_line_verbatim():
    said = [json.loads(line) for line in LINES]
    assert said[0] == {"format": "guardian-audit-export", "v": 1, "log_id": "test", "exported_at": "2026-01-01T00:00:00.000Z"}
    assert [next(iter(line)) for line in said[1:]] == ["checkpoint"] * 3 + ["hash"] * 36 + ["head"] * 3 + ["end"]
    for line, row in zip(LINES[4:40], LOG.rows, strict=True):
        assert line == b'{"hash":"' + row.hash.encode() + b'","record":' + row.body_bytes + b"}\n"


def test_one_flipped_byte_anywhere_is_noticed():
    rng = random.Random(5)
    starts = [sum(map(len, LINES[:n])) for n in range(len(LINES) + 1)]
    ends = {at - 1 for at in starts[1:]}
    for at in sorted({*rng.sample(range(len(DATA)), 700), *starts[:-1], *ends, *range(starts[-2], len(DATA))}):
        damaged = DATA[:at] + bytes([DATA[at] ^ 1 << rng.randrange(8)]) + DATA[at + 1 :]
        try:
            report = check(damaged)
        except ExportUnreadableError:
            assert at < starts[1] or DATA[at] == 0x0A, "only the first line says what the file is"
            continue
        assert not report.ok, (at, damaged[at - 20 : at + 20])


def test_a_flipped_byte_in_a_record_names_that_record():
    rng = random.Random(6)
    for number, row in enumerate(LOG.rows, 4):
        line = LINES[number]
        for at in rng.sample(range(9, len(line) - 2), 12):
            if line[at : at + 1] in b'"' or 73 <= at < 84:
                continue
            forged = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
            report = check(b"".join([*LINES[:number], forged, *LINES[number + 1 :]]))
            assert not report.ok
            if row.seq:
                assert (report.first.stream, report.first.seq) == (row.stream, row.seq), forged


def test_lines_that_are_missing_added_or_moved_are_noticed():
    for number in range(1, len(LINES)):
        assert not check(b"".join(LINES[:number] + LINES[number + 1 :])).ok, number
        assert not check(b"".join([*LINES[:number], LINES[number], *LINES[number:]])).ok, number
        assert not check(b"".join(LINES[:number])).ok, number
    for number, _ in list(pairwise(range(len(LINES))))[1:]:
        moved = [*LINES[:number], LINES[number + 1], LINES[number], *LINES[number + 2 :]]
        assert not check(b"".join(moved)).ok, number
    assert not check(DATA + b"\n").ok
    assert not check(DATA[:-1]).ok


def test_a_deleted_record_is_a_gap_even_when_the_last_line_was_made_to_fit():
    rows = [row for row in LOG.rows if (row.stream, row.seq) != ("decisions/m", 5)]
    report = check(b"".join(export_lines("test", STARTED_AT, checkpoints=KEPT, rows=rows, heads=LOG.heads)))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.GAP, "decisions/m", 5)


def test_a_cut_export_with_everything_made_to_fit_needs_a_checkpoint_kept_elsewhere():
    cut = small_log(9)
    data = b"".join(export_lines("test", STARTED_AT, checkpoints=[], rows=cut.rows, heads=cut.heads))
    assert check(data).ok
    report = check(data, checkpoint=checkpoint_of(LOG, KEY), public_key=KEY.public())
    assert {(f.code, f.seq) for f in report.findings} == {(Flaw.CHECKPOINT_CUT, 9)}


def test_the_checkpoints_of_an_export_are_compared_too():
    other = log_of(LOG.stream("control"))
    data = b"".join(export_lines("test", STARTED_AT, checkpoints=KEPT, rows=other.rows, heads=other.heads))
    assert {(f.code, f.stream) for f in check(data).findings} == {
        (Flaw.CHECKPOINT_CUT, "decisions/m"),
        (Flaw.CHECKPOINT_CUT, "intake/0"),
    }


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"[]\n", b"\xff\n", LINES[1], LINES[0].replace(b'"v":1', b'"v":2')])
def test_what_is_no_export_is_said_to_be_none(data):
    with pytest.raises(ExportUnreadableError):
        check(data)


@pytest.mark.parametrize(
    "columns", [{"body_bytes": b"{\n}"}, {"body_bytes": None}, {"body_bytes": "x"}, {"hash": "short"}, {"hash": None}]
)
def test_what_no_line_can_carry_verbatim_is_refused(columns):
    rows = [LOG.rows[0]._replace(**columns)]
    with pytest.raises(ExportRefusedError, match="guardian audit verify"):
        list(export_lines("test", 0, checkpoints=[], rows=rows, heads=[]))


@pytest.mark.parametrize(
    "change",
    [
        (b'"seq":0', b'"seq":"0"'),
        (b'"seq":0', b'"seq":0.5'),
        (b'"stream":"control"', b'"stream":["control"]'),
        (b'"kind":"activation"', b'"kind":{}'),
        (b'"recorded_at":"2026', b'"recorded_at":"soon 2026'),
        (b'"prev":"0', b'"prev":"1'),
    ],
)
def test_records_that_say_impossible_things_under_a_fitting_hash_are_findings(change):
    from guardian.audit.record import record_hash

    data = LOG.rows[0].body_bytes.replace(*change)
    forged = LOG.rows[0]._replace(body_bytes=data, hash=record_hash(data))
    report = check(b"".join(export_lines("test", 0, checkpoints=[], rows=[forged], heads=[])))
    assert not report.ok
