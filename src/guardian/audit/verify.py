"""Whether an audit log is what was written: chain, columns, heads, coverage, and every checkpoint that was kept.

Takes: rows as stored, in order of (stream, seq), and what else there is to compare with. Gives: a `Report`. Never: raises for
what somebody did to the log, trusts a column, or holds more than the streams' heads: memory does not grow with records.

What it can see, by who did it:

* An edit, a deletion, an insertion or a move in SQL: from the chain, at the first record in doubt.
* A chain recomputed as a whole, a tail cut off together with its head, an old copy restored: only from a checkpoint kept
  outside the database. The report then names the first record that the change can lie at.
* A change by who also holds the signing key: only from an outside witness of the checkpoints.
* An event that was never counted: from the coverage records, whose intervals must tile, against the log's positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardian.audit.chain import StreamCheck
from guardian.audit.marks import Checkpoints
from guardian.audit.report import Covered, Findings, Flaw, Report, Tip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardian.audit.leaf import Head, Sealed, StoredCheckpoint
    from guardian.audit.marks import Marks
    from guardian.audit.signing import PublicKey

STREAMS_MAX: Final = 100_000  # Beyond it rows are not read on, and the report says so: memory stays bounded.


def verify(
    rows: Iterable[Sealed],
    *,
    heads: Iterable[Head] | None = None,
    checkpoint: bytes | None = None,
    public_key: PublicKey | None = None,
    stored: Iterable[StoredCheckpoint] = (),
    log_id: str | None = None,
) -> Report:
    """Check a whole log in one pass.

    Args:
        rows: Every stored record by (stream, seq), columns and bytes as they are.
        heads: The stored heads of all streams, read after the rows; None when there are none to compare with.
        checkpoint: A checkpoint file that was kept elsewhere.
        public_key: The log's key, from a source that is not the database.
        stored: The checkpoints that the log keeps itself.
        log_id: The id that the log says it has; without it the key's log is meant.
    """
    findings = Findings()
    checkpoints = Checkpoints(public_key, log_id, findings)
    checkpoints.take_file(checkpoint)
    checkpoints.take_stored(stored)
    check = _LogCheck(checkpoints.close(), findings)
    for row in rows:
        if not check.feed(row):
            break
    return check.finish(heads)


class _LogCheck:
    def __init__(self, marks: Marks, findings: Findings) -> None:
        self._marks = marks
        self._findings = findings
        self._open: StreamCheck | None = None
        self._ends: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._tips: list[Tip] = []
        self._covered: list[Covered] = []
        self._records = 0

    def feed(self, row: Sealed) -> bool:
        """Check a row; False when no more can be read."""
        if self._open is None or row.stream != self._open.stream:
            self._close()
            # A column of another type still needs a name to be told by.
            if not self._begin(row.stream if type(row.stream) is str else repr(row.stream)[:80]):
                return False
        if self._open is not None:
            self._open.feed(row)
        self._records += 1
        return True

    def finish(self, heads: Iterable[Head] | None) -> Report:
        """Compare with the heads and with what checkpoints know of streams that are not there."""
        self._close()
        for stream, marks in self._marks.by_stream.items():
            if stream not in self._ends:
                StreamCheck(stream, marks, self._findings).finish()
        if heads is not None:
            self._compare_heads({head.stream: (head.size, head.hash) for head in heads})
        young = sum(size - self._marks.kept.get(stream, 0) for stream, (size, _) in self._ends.items())
        remarks = list(self._marks.remarks)
        if self._marks.kept and young > 0:
            remarks.append(f"{young} records are younger than the checkpoint: only the chain holds them yet.")
        return Report(
            records=self._records,
            tips=tuple(self._tips),
            checkpoints=self._marks.count,
            findings=tuple(self._findings.listed),
            unlisted=self._findings.unlisted,
            covered=tuple(self._covered),
            remarks=tuple(remarks),
        )

    def _begin(self, stream: str) -> bool:
        if len(self._ends) >= STREAMS_MAX:
            self._findings.add(Flaw.ORDER, "", None, f"The log has more than {STREAMS_MAX} streams.")
            return False
        if stream in self._ends:
            what = f"Records of {stream!r:.200} come again, behind those of another stream."
            self._findings.add(Flaw.ORDER, stream, self._ends[stream][0], what)
            self._open = None
            return True
        self._open = StreamCheck(stream, self._marks.by_stream.get(stream, []), self._findings)
        return True

    def _close(self) -> None:
        if self._open is None:
            return
        self._open.finish()
        self._ends[self._open.stream] = (self._open.tree.size, self._open.ends)
        self._tips.append(Tip(self._open.stream, self._open.tree.size, self._open.tree.root()))
        if self._open.covered:
            self._covered.append(self._open.covered)
        self._open = None

    def _compare_heads(self, heads: dict[str, tuple[int, str]]) -> None:
        for stream in sorted(heads.keys() | self._ends.keys()):
            size, ends = self._ends.get(stream, (0, ("",)))
            head = heads.get(stream)
            if head is None:
                what = f"The log holds {size} records of a stream without a head."
                self._findings.add(Flaw.HEAD, stream, 0, what)
            elif head[0] != size:
                what = f"The head says {head[0]!r:.40} records, the log holds {size}."
                self._findings.add(Flaw.HEAD, stream, size, what)
            elif head[1] not in ends:
                what = f"The head says hash {head[1]!r:.80}, the last record has {ends[0]}."
                self._findings.add(Flaw.HEAD, stream, size - 1, what)
