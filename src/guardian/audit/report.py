"""What a verification found: the flaws, what each means, and what the check could not see.

Takes nothing but what `verify` tells it. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FINDINGS_PER_STREAM_MAX: Final = 20  # What lies beyond is counted in `Report.unlisted`, not listed.


class Flaw(StrEnum):
    """What can be wrong with an audit log. Public: documents and tests match on them."""

    GAP = "audit.gap"
    DUPLICATE = "audit.duplicate"
    ORDER = "audit.order"
    HASH = "audit.hash"
    MALFORMED = "audit.malformed"
    COLUMN = "audit.column"
    CHAIN = "audit.chain"
    HEAD = "audit.head"
    COVERAGE = "audit.coverage"
    EXPORT = "audit.export"
    CHECKPOINT_MALFORMED = "audit.checkpoint.malformed"
    CHECKPOINT_NO_KEY = "audit.checkpoint.no-key"
    CHECKPOINT_UNKNOWN_KEY = "audit.checkpoint.unknown-key"
    CHECKPOINT_BAD_SIGNATURE = "audit.checkpoint.bad-signature"
    CHECKPOINT_OTHER_ORIGIN = "audit.checkpoint.other-origin"
    CHECKPOINT_FORK = "audit.checkpoint.fork"
    CHECKPOINT_COLUMN = "audit.checkpoint.column"
    CHECKPOINT_CUT = "audit.checkpoint.cut"
    CHECKPOINT_REWRITTEN = "audit.checkpoint.rewritten"


MEANINGS: Final = {
    Flaw.GAP: "Records were deleted, or their sequence numbers were changed.",
    Flaw.DUPLICATE: "A record was inserted or copied: a stream holds one record at a sequence number.",
    Flaw.ORDER: "Records were moved: they are not in the order in which they were written.",
    Flaw.HASH: "The record's bytes or its stored hash were changed after it was written.",
    Flaw.MALFORMED: "These bytes were not written by guardian, although their hash fits them.",
    Flaw.COLUMN: "A column was changed after the record was written; its bytes still say what it was.",
    Flaw.CHAIN: "The record was replaced, and its hash with it; its successor still knows the old one.",
    Flaw.HEAD: "Records were cut off or added at the end, or the stored head was changed.",
    Flaw.COVERAGE: "Events were read and not accounted for, or accounted for twice.",
    Flaw.EXPORT: "The export file was damaged or cut, or was not written by guardian.",
    Flaw.CHECKPOINT_MALFORMED: "The checkpoint proves nothing.",
    Flaw.CHECKPOINT_NO_KEY: "Without the public key it may be anybody's, and it proves nothing.",
    Flaw.CHECKPOINT_UNKNOWN_KEY: "The checkpoint is another log's, or it was forged with another key.",
    Flaw.CHECKPOINT_BAD_SIGNATURE: "The checkpoint was changed after it was signed, or it was forged.",
    Flaw.CHECKPOINT_OTHER_ORIGIN: "The checkpoint speaks of another log and proves nothing about this one.",
    Flaw.CHECKPOINT_FORK: "Whoever holds the signing key signed two different histories of one stream.",
    Flaw.CHECKPOINT_COLUMN: "A stored checkpoint's columns were changed; its signed note says otherwise.",
    Flaw.CHECKPOINT_CUT: "The tail of the stream was cut off, or an old copy of the database was restored.",
    Flaw.CHECKPOINT_REWRITTEN: "History was rewritten, and the hash chain recomputed to hide it.",
}
"""What each flaw means, for people."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong.

    Attributes:
        code: What kind of thing.
        stream: Where, or empty when it is about the whole log or file.
        seq: The first record in doubt, or None when no record can be named.
        what: One sentence with the facts.
    """

    code: Flaw
    stream: str
    seq: int | None
    what: str

    @property
    def means(self) -> str:
        """One sentence on what follows from it."""
        return MEANINGS[self.code]

    def __str__(self) -> str:
        place = self.stream if self.seq is None else f"{self.stream}/{self.seq}"
        return f"{self.code}: {place or 'the log'}: {self.what} {self.means}"


@dataclass(frozen=True, slots=True)
class Covered:
    """The offsets that an intake stream accounts for: [start, next) of one partition."""

    stream: str
    start: int
    next: int


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a stream ends, as recomputed from its bytes: how many records, and the root over them."""

    stream: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification.

    Attributes:
        records: Records read.
        tips: Every stream that was read, by what its bytes say.
        checkpoints: Signed checkpoints that were opened and compared with the log.
        findings: What is wrong, at most FINDINGS_PER_STREAM_MAX a stream, in the order in which it was found.
        unlisted: Findings beyond that bound.
        covered: What the intake streams account for, to be compared with the partitions' positions.
        remarks: What this check could not have seen, in sentences.
    """

    records: int
    tips: tuple[Tip, ...]
    checkpoints: int
    findings: tuple[Finding, ...]
    unlisted: int
    covered: tuple[Covered, ...]
    remarks: tuple[str, ...]

    @property
    def streams(self) -> int:
        """Streams read."""
        return len(self.tips)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding that names the first bad record, by stream and sequence, or else the first finding."""
        placed = [finding for finding in self.findings if finding.seq is not None]
        return min(placed, key=lambda f: (f.stream, f.seq), default=next(iter(self.findings), None))


class Findings:
    """Collects findings up to the bound of each stream."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.unlisted = 0
        self._per_stream: dict[str, int] = {}

    def add(self, code: Flaw, stream: str, seq: int | None, what: str) -> None:
        """Take a finding in."""
        count = self._per_stream[stream] = self._per_stream.get(stream, 0) + 1
        if count > FINDINGS_PER_STREAM_MAX:
            self.unlisted += 1
        else:
            self.listed.append(Finding(code, stream, seq, what))
