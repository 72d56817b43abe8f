"""The verifier against every way of changing a log: each is noticed, and the first bad record is named."""

import base64
import hashlib
import json
import random

import pytest

from guardian.audit.checkpoint import Checkpoint, join_notes, origin_of, parse_note, sign, split_notes
from guardian.audit.leaf import Head, StoredCheckpoint
from guardian.audit.record import seal
from guardian.audit.report import FINDINGS_PER_STREAM_MAX, MEANINGS, Flaw
from guardian.audit.verify import verify
from guardian.testing.audit_logs import STARTED_AT, chained, checkpoint_of, coverage, log_of, signing_key, small_log

LOG = small_log()
KEY = signing_key()
STREAM = "decisions/m"
SIZE = 12


def check(log, **more):
    return verify(log.rows, heads=log.heads, **more)


def at(rows, stream, seq):
    return next(n for n, row in enumerate(rows) if (row.stream, row.seq) == (stream, seq))


def changed(stream, seq, /, **columns):
    """A change of one row's columns, as UPDATE makes it."""

    def change(rows):
        n = at(rows, stream, seq)
        rows[n] = rows[n]._replace(**columns)
        return sorted(rows, key=lambda row: (row.stream, row.seq))

    return change


def flip(data, bit):
    raw = bytearray(data)
    raw[bit // 8] ^= 1 << bit % 8
    return bytes(raw)


def test_an_untouched_log_holds():
    report = check(LOG)
    assert report.ok
    assert (report.records, report.streams, report.first) == (36, 3, None)
    assert [(c.stream, c.start, c.next) for c in report.covered] == [("intake/0", 0, 120)]
    assert "elsewhere" in report.remarks[0]
    assert check(log_of()).ok


def test_a_log_of_a_hundred_thousand_records_holds_with_its_checkpoint():
    size = 50_000
    log = log_of(
        chained("control", [("note", {"n": n}) for n in range(size)]), chained("intake/0", coverage(*range(1, size + 1)))
    )
    report = check(log, checkpoint=checkpoint_of(log, KEY), public_key=KEY.public(), log_id="test")
    assert report.ok
    assert (report.records, report.checkpoints, report.remarks) == (2 * size, 2, ())


@pytest.mark.parametrize("seq", [0, 5, SIZE - 1])
@pytest.mark.parametrize("stream", ["control", STREAM, "intake/0"])
def test_a_flipped_bit_in_any_column_is_noticed_at_its_record(stream, seq):
    rng = random.Random(seq)
    row = LOG.stream(stream)[seq]
    cases = [{"body_bytes": flip(row.body_bytes, rng.randrange(8 * len(row.body_bytes)))} for _ in range(40)]
    cases += [{"recorded_at": row.recorded_at ^ 1 << bit} for bit in range(42)]
    for name in ("hash", "prev"):
        text = getattr(row, name)
        cases += [
            {name: text[:n] + flip(text[n].encode(), bit).decode("latin-1") + text[n + 1 :]} for n in (0, 63) for bit in (0, 3)
        ]
    cases += [{name: getattr(row, name) + "x"} for name in ("id", "kind", "model")]
    for columns in cases:
        report = check(LOG.tampered(changed(stream, seq, **columns)))
        assert not report.ok, columns
        assert (report.first.stream, report.first.seq) == (stream, seq), columns
        assert report.first.code == (Flaw.HASH if {"body_bytes", "hash"} & set(columns) else Flaw.COLUMN)
        assert len(report.findings) == 1, "one bad record is one finding"


@pytest.mark.parametrize("bit", range(5))
@pytest.mark.parametrize("seq", [0, 5, SIZE - 1])
def test_a_flipped_bit_in_a_sequence_is_noticed_at_the_first_place_that_is_wrong(seq, bit):
    other = seq ^ 1 << bit
    report = check(LOG.tampered(changed(STREAM, seq, seq=other)))
    assert not report.ok
    assert report.first.stream == STREAM
    assert report.first.seq == min(seq, other)


@pytest.mark.parametrize("seq", [0, 5])
@pytest.mark.parametrize("count", [1, 3])
def test_deleted_records_leave_a_gap(seq, count):
    def change(rows):
        n = at(rows, STREAM, seq)
        return rows[:n] + rows[n + count :]

    report = check(LOG.tampered(change))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.GAP, STREAM, seq)


def cut(rows, count=1):
    n = at(rows, STREAM, SIZE - 1) + 1
    return rows[: n - count] + rows[n:]


def with_fixed_head(log):
    """What somebody does who deletes the tail and knows that there are heads."""
    heads = []
    for head in log.heads:
        rows = log.stream(head.stream)
        if rows:
            heads.append(Head(head.stream, len(rows), rows[-1].hash))
    return log_of(*[log.stream(head.stream) for head in heads])


def test_a_cut_tail_differs_from_the_head():
    report = check(LOG.tampered(cut))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.HEAD, STREAM, SIZE - 1)


@pytest.mark.parametrize("count", [1, 3, SIZE])
def test_a_cut_tail_with_a_fixed_head_is_named_by_a_checkpoint_kept_elsewhere(count):
    log = with_fixed_head(LOG.tampered(lambda rows: cut(rows, count)))
    assert check(log).ok, "nothing inside the database can tell"
    report = check(log, checkpoint=checkpoint_of(LOG, KEY), public_key=KEY.public(), log_id="test")
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.CHECKPOINT_CUT, STREAM, SIZE - count)
    assert f"holds {SIZE} records, the log {SIZE - count}" in report.first.what


@pytest.mark.parametrize(("one", "two"), [(0, 1), (4, 5), (2, 9), (0, SIZE - 1)])
def test_two_records_that_changed_places_are_noticed_at_the_first(one, two):
    def change(rows):
        a, b = at(rows, STREAM, one), at(rows, STREAM, two)
        rows[a], rows[b] = rows[b]._replace(seq=one), rows[a]._replace(seq=two)
        return rows

    report = check(LOG.tampered(change))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.COLUMN, STREAM, one)

    def in_the_file(rows):
        a, b = at(rows, STREAM, one), at(rows, STREAM, two)
        rows[a], rows[b] = rows[b], rows[a]
        return rows

    report = check(LOG.tampered(in_the_file))
    assert (report.first.stream, report.first.seq) == (STREAM, one)


@pytest.mark.parametrize("seq", [0, 5, SIZE - 1])
def test_a_record_that_comes_twice_is_noticed(seq):
    def change(rows):
        n = at(rows, STREAM, seq)
        return [*rows[: n + 1], rows[n], *rows[n + 1 :]]

    report = check(LOG.tampered(change))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.DUPLICATE, STREAM, seq)

    def at_the_end(rows):
        n = at(rows, STREAM, SIZE - 1)
        return [*rows[: n + 1], rows[at(rows, STREAM, seq)]._replace(seq=SIZE), *rows[n + 1 :]]

    report = check(LOG.tampered(at_the_end))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.COLUMN, STREAM, SIZE)


def resealed(rows, body=None):
    """Chain rows again from their first, as somebody does who knows how; `body` replaces the first one's."""
    out, prev = [], rows[0].prev
    for n, row in enumerate(rows):
        said = json.loads(row.body_bytes)["body"] if n or body is None else body
        out.append(seal(row.stream, row.seq, prev, row.kind, row.id, row.model, row.recorded_at, said))
        prev = out[-1].hash
    return out


@pytest.mark.parametrize("seq", [0, 5, SIZE - 2])
def test_a_replaced_record_with_its_own_hash_right_is_contradicted_by_its_successor(seq):
    forged = resealed([LOG.stream(STREAM)[seq]], {"rows": []})[0]

    def change(rows):
        rows[at(rows, STREAM, seq)] = forged
        return rows

    report = check(LOG.tampered(change))
    assert (report.first.code, report.first.stream, report.first.seq) == (Flaw.CHAIN, STREAM, seq)


@pytest.mark.parametrize("seq", [0, 5, SIZE - 1])
def test_a_rewritten_rest_of_the_chain_is_named_by_a_checkpoint_between_the_last_that_agrees_and_the_first_that_does_not(seq):
    rows = list(LOG.stream(STREAM))
    rows[seq:] = resealed(rows[seq:], {"rows": ["nothing happened"]})
    log = log_of(LOG.stream("control"), rows, LOG.stream("intake/0"))
    assert check(log).ok, "nothing inside the database can tell"
    kept = checkpoint_of(LOG, KEY)
    report = check(log, checkpoint=kept, public_key=KEY.public(), log_id="test")
    assert [(f.code, f.stream, f.seq) for f in report.findings] == [(Flaw.CHECKPOINT_REWRITTEN, STREAM, 0)]
    earlier = checkpoint_of(log_of(LOG.stream(STREAM)[: max(seq, 1)]), KEY)
    report = check(log, checkpoint=join_notes([earlier, kept]), public_key=KEY.public(), log_id="test")
    assert (report.first.code, report.first.seq) == (Flaw.CHECKPOINT_REWRITTEN, seq)


def test_an_inserted_record_with_the_chain_recomputed_needs_a_checkpoint():
    says = [(row.kind, json.loads(row.body_bytes)["body"]) for row in LOG.stream(STREAM)]
    log = log_of(LOG.stream("control"), chained(STREAM, [*says[:5], ("verdicts", {}), *says[5:]]), LOG.stream("intake/0"))
    assert check(log).ok
    report = check(log, checkpoint=checkpoint_of(LOG, KEY), public_key=KEY.public(), log_id="test")
    assert (report.first.code, report.first.stream) == (Flaw.CHECKPOINT_REWRITTEN, STREAM)
    assert "0 to 11" in report.first.what


def test_a_restored_old_copy_is_behind_the_checkpoint():
    old = small_log(7)
    report = check(old, checkpoint=checkpoint_of(LOG, KEY), public_key=KEY.public(), log_id="test")
    assert {(f.code, f.stream, f.seq) for f in report.findings} == {
        (Flaw.CHECKPOINT_CUT, stream, 7) for stream in ("control", STREAM, "intake/0")
    }


def test_a_log_that_grew_holds_and_says_how_much_is_young():
    kept = checkpoint_of(small_log(7), KEY)
    report = check(LOG, checkpoint=kept, public_key=KEY.public(), log_id="test")
    assert report.ok
    assert report.remarks == ("15 records are younger than the checkpoint: only the chain holds them yet.",)


def test_everything_recomputed_with_another_key_is_noticed():
    rows = resealed(list(LOG.stream(STREAM)), {"rows": []})
    log = log_of(LOG.stream("control"), rows, LOG.stream("intake/0"))
    forged = checkpoint_of(log, signing_key(9))
    report = check(log, checkpoint=forged, public_key=KEY.public(), log_id="test")
    assert {f.code for f in report.findings} == {Flaw.CHECKPOINT_UNKNOWN_KEY}
    assert len(report.findings) == 3
    # The forger may also claim the key's id, which is public.
    notes = []
    for note in split_notes(forged):
        text, _, line = note.rpartition(b" ")
        notes.append(text + b" " + base64.b64encode(KEY.public().id + base64.b64decode(line)[4:]) + b"\n")
    report = check(log, checkpoint=join_notes(notes), public_key=KEY.public(), log_id="test")
    assert {f.code for f in report.findings} == {Flaw.CHECKPOINT_BAD_SIGNATURE}


def test_a_checkpoint_of_another_log_is_noticed():
    other = signing_key(1, "other")
    report = check(LOG, checkpoint=checkpoint_of(LOG, other), public_key=other.public(), log_id="test")
    assert {f.code for f in report.findings} == {Flaw.CHECKPOINT_OTHER_ORIGIN}
    report = check(LOG, checkpoint=checkpoint_of(LOG, other), public_key=KEY.public(), log_id="test")
    assert {f.code for f in report.findings} == {Flaw.CHECKPOINT_UNKNOWN_KEY}


def test_two_forks_are_noticed_from_either_side():
    fork = log_of(
        LOG.stream("control"),
        [*LOG.stream(STREAM)[:8], *resealed(list(LOG.stream(STREAM)[8:]), {"rows": ["fork"]})],
        LOG.stream("intake/0"),
    )
    for one, two in ((LOG, fork), (fork, LOG)):
        report = check(one, checkpoint=checkpoint_of(two, KEY), public_key=KEY.public(), log_id="test")
        assert [(f.code, f.stream) for f in report.findings] == [(Flaw.CHECKPOINT_REWRITTEN, STREAM)]
    both = join_notes([checkpoint_of(LOG, KEY), checkpoint_of(fork, KEY)])
    report = check(LOG, checkpoint=both, public_key=KEY.public(), log_id="test")
    assert {f.code for f in report.findings} == {Flaw.CHECKPOINT_FORK, Flaw.CHECKPOINT_REWRITTEN}


@pytest.mark.parametrize(("data", "code"), [(b"", Flaw.CHECKPOINT_MALFORMED), (b"x\n\ny\n", Flaw.CHECKPOINT_MALFORMED)])
def test_a_checkpoint_that_is_none_proves_nothing(data, code):
    report = check(LOG, checkpoint=data, public_key=KEY.public(), log_id="test")
    assert [f.code for f in report.findings] == [code]


def test_a_checkpoint_without_a_key_proves_nothing():
    report = check(LOG, checkpoint=checkpoint_of(LOG, KEY), log_id="test")
    assert [f.code for f in report.findings] == [Flaw.CHECKPOINT_NO_KEY]


def stored(log):
    notes = [(parse_note(note).checkpoint, note) for note in split_notes(checkpoint_of(log, KEY))]
    return [StoredCheckpoint(said.origin, said.size, said.root.hex(), note, STARTED_AT) for said, note in notes]


def test_stored_checkpoints_are_opened_and_compared():
    report = check(LOG, stored=[*stored(LOG), *stored(small_log(7))], public_key=KEY.public(), log_id="test")
    assert report.ok
    assert report.checkpoints == 6
    report = check(LOG, stored=stored(LOG), log_id="test")
    assert report.ok
    assert "were not checked" in report.remarks[1]
    rows = resealed(list(LOG.stream(STREAM)), {"rows": []})
    log = log_of(LOG.stream("control"), rows, LOG.stream("intake/0"))
    assert check(log, stored=stored(LOG), log_id="test").first.code == Flaw.CHECKPOINT_REWRITTEN
    for change in ({"size": 3}, {"root": "0" * 64}, {"origin": "guardian/test/control/x"}):
        edited = [row._replace(**change) for row in stored(LOG)[:1]]
        report = check(LOG, stored=edited, public_key=KEY.public(), log_id="test")
        assert [f.code for f in report.findings] == [Flaw.CHECKPOINT_COLUMN]
    empty = sign(Checkpoint(origin_of(KEY.name, "control"), 0, hashlib.sha256().digest()), KEY)
    assert check(LOG, checkpoint=empty, public_key=KEY.public(), log_id="test").ok


@pytest.mark.parametrize(
    ("head", "seq"),
    [(Head(STREAM, SIZE + 1, "0" * 64), SIZE), (Head(STREAM, SIZE, "0" * 64), SIZE - 1), (Head(STREAM, 3, ""), SIZE)],
)
def test_a_changed_head_is_noticed(head, seq):
    report = verify(LOG.rows, heads=[head if own.stream == STREAM else own for own in LOG.heads])
    assert [(f.code, f.stream, f.seq) for f in report.findings] == [(Flaw.HEAD, STREAM, seq)]


def test_streams_without_heads_and_heads_without_streams_are_noticed():
    report = verify(LOG.rows, heads=[head for head in LOG.heads if head.stream != STREAM])
    assert [(f.code, f.stream) for f in report.findings] == [(Flaw.HEAD, STREAM)]
    report = verify([row for row in LOG.rows if row.stream != STREAM], heads=LOG.heads)
    assert [(f.code, f.stream, f.seq) for f in report.findings] == [(Flaw.HEAD, STREAM, 0)]


@pytest.mark.parametrize(
    ("ends", "flaw"),
    [
        ([(0, 10), (10, 30), (30, 30), (30, 31)], None),
        ([(7, 10), (10, 30)], None),
        ([(0, 10), (11, 30)], "a hole"),
        ([(0, 10), (9, 30)], "an overlap"),
        ([(0, 10), (0, 10)], "an overlap"),
        ([(0, 10), (10, 5)], "no interval"),
        ([(0, 10), (10, "20")], "no interval"),
        ([(0, 10), (10, True)], "no interval"),
        ([(0, 10), (-10, 20)], "no interval"),
    ],
)
def test_coverage_must_tile(ends, flaw):
    rows = chained("intake/3", [("coverage", {"from_offset": a, "to_offset": b, "digest": ""}) for a, b in ends])
    report = check(log_of(rows))
    assert [finding.seq for finding in report.findings] == ([] if flaw is None else [1])
    assert flaw is None or flaw in report.first.what


def test_every_hole_is_named_and_a_bad_record_makes_none():
    says = [("coverage", {"from_offset": a, "to_offset": a + 10}) for a in (0, 20, 40, 50, 70)]
    rows = chained("intake/0", says)
    assert [(f.code, f.seq) for f in check(log_of(rows)).findings] == [(Flaw.COVERAGE, seq) for seq in (1, 2, 4)]
    edited = log_of(chained("intake/0", coverage(10, 20, 30, 40))).tampered(changed("intake/0", 1, hash="0" * 64))
    assert [(f.code, f.seq) for f in check(edited).findings] == [(Flaw.HASH, 1)]


def test_a_recorded_gap_is_accounted_for_and_a_wrong_count_is_not():
    says = [*coverage(10), ("gap", {"from_offset": 10, "to_offset": 50}), ("dead-letters", {"count": 3})]
    says += [("coverage", {"from_offset": 50, "to_offset": 60, "count": 9, "digest": ""})]
    report = check(log_of(chained("intake/0", says)))
    assert report.ok
    assert report.covered[0].next == 60
    for count in (11, -1, "10", True):
        says[-1] = ("coverage", {"from_offset": 50, "to_offset": 60, "count": count, "digest": ""})
        report = check(log_of(chained("intake/0", says)))
        assert [(f.code, f.seq) for f in report.findings] == [(Flaw.COVERAGE, 3)]


def sealed_bytes(data):
    return LOG.stream("control")[0]._replace(body_bytes=data, hash=hashlib.sha256(b"\x00" + data).hexdigest())


GOOD = LOG.stream("control")[0].body_bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        GOOD[:-1],
        GOOD + b" ",
        b" " + GOOD,
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(b'"v":1', b'"v":1,"w":1'),
        GOOD.replace(b'"n":0', b'"n":NaN'),
        GOOD.replace(b'"n":0', b'"n":0,"n":0'),
        GOOD.replace(b',"v":1', b',"id":"x","v":1'),
        GOOD.replace(b'"n":0', b'"n":"\xff"'),
        GOOD.replace(b'"n":0', b'"n":' + b"[" * 100_000 + b"]" * 100_000),
        GOOD.replace(b'"n":0', b'"n":' + b"9" * 5_000),
    ],
)
def test_bytes_that_are_no_record_are_noticed_although_their_hash_fits(data):
    report = check(log_of([sealed_bytes(data)]))
    assert [(f.code, f.stream, f.seq) for f in report.findings] == [(Flaw.MALFORMED, "control", 0)]


@pytest.mark.parametrize(
    "columns",
    [{name: value} for name in ("seq", "id", "kind", "model", "recorded_at", "prev", "hash") for value in (None, b"x", 7.5)]
    + [{"body_bytes": value} for value in (None, "text", 7)]
    + [{"stream": value} for value in (None, 7, b"decisions/m")]
    + [{"recorded_at": 10**30}, {"recorded_at": -(10**30)}],
)
def test_columns_of_another_type_are_findings_not_crashes(columns):
    def change(rows):
        n = at(rows, STREAM, 5)
        rows[n] = rows[n]._replace(**columns)
        return rows

    report = check(LOG.tampered(change))
    assert not report.ok


def test_streams_that_come_again_are_noticed():
    rows = list(LOG.rows)
    report = verify([*rows[12:], *rows[:12], rows[13]])
    assert Flaw.ORDER in {f.code for f in report.findings}
    assert report.first.stream == STREAM


def test_findings_are_bounded_and_counted():
    log = small_log(60)
    report = check(log.tampered(lambda rows: [row._replace(hash="0" * 64) for row in rows]))
    assert len(report.findings) == 3 * FINDINGS_PER_STREAM_MAX
    assert report.unlisted == 3 * (60 - FINDINGS_PER_STREAM_MAX)


def test_every_flaw_says_what_it_means_and_prints_its_place():
    assert set(MEANINGS) == set(Flaw)
    report = check(LOG.tampered(changed(STREAM, 5, kind="other")))
    assert str(report.first).startswith("audit.column: decisions/m/5: The column kind says 'other', the bytes 'verdicts'.")
