"""What checkpoints demand of a log: at which sizes its streams must have which roots.

Takes: a checkpoint file, stored checkpoints, and the public key. Gives: marks by stream, and findings.
Never: raises for bytes that somebody else made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from guardian.audit.checkpoint import Checkpoint, CheckpointError, opened, parse_note, split_notes, stream_of
from guardian.audit.report import Findings, Flaw
from guardian.audit.signing import KeyRefusedError, log_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardian.audit.leaf import StoredCheckpoint
    from guardian.audit.signing import PublicKey

NO_CHECKPOINT: Final = (
    "No checkpoint kept elsewhere was given: a hash chain recomputed as a whole, or a tail cut off together with"
    " its head, cannot be seen without one."
)
NO_KEY: Final = "No public key was given: the signatures of the stored checkpoints were not checked."


@dataclass(slots=True)
class Marks:
    """Sizes and roots that streams must have had.

    Attributes:
        by_stream: Stream to (size, root), by size, each once.
        kept: Stream to the greatest size in the checkpoint file that was given.
        count: Checkpoints that were opened.
        remarks: What could not be checked.
    """

    by_stream: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    count: int = 0
    remarks: list[str] = field(default_factory=list)


class Checkpoints:
    """Opens checkpoints with one key and gathers what they demand."""

    def __init__(self, key: PublicKey | None, log_id: str | None, findings: Findings) -> None:
        """Take the log's public key, and the id that the log says it has."""
        self.marks = Marks()
        self._key = key
        self._name = _name_of(key, log_id)
        self._findings = findings

    def take_file(self, data: bytes | None) -> None:
        """Open every note of a checkpoint file."""
        if data is None:
            self.marks.remarks.append(NO_CHECKPOINT)
            return
        if self._key is None:
            self._findings.add(Flaw.CHECKPOINT_NO_KEY, "", None, "A checkpoint came without a public key.")
            return
        try:
            notes = split_notes(data)
        except CheckpointError as error:
            self._refuse(error)
            return
        for note in notes:
            checkpoint = self._open(note)
            if checkpoint and (stream := self._add(checkpoint)) is not None:
                self.marks.kept[stream] = max(checkpoint.size, self.marks.kept.get(stream, 0))

    def take_stored(self, stored: Iterable[StoredCheckpoint]) -> None:
        """Open what the log itself keeps; without a key, compare at least the roots."""
        unsigned = False
        for row in stored:
            checkpoint = self._open(row.note)
            if checkpoint is None:
                continue
            unsigned = self._key is None
            if (row.origin, row.size, row.root) != (checkpoint.origin, checkpoint.size, checkpoint.root.hex()):
                what = f"The stored checkpoint {row.origin!r:.200} at {row.size!r:.20} has a note for"
                what += f" {checkpoint.origin!r:.200} at {checkpoint.size}, or for another root."
                self._findings.add(Flaw.CHECKPOINT_COLUMN, "", None, what)
            self._add(checkpoint)
        if unsigned:
            self.marks.remarks.append(NO_KEY)

    def close(self) -> Marks:
        """Return the marks, by size, and say where two of one size differ."""
        for stream, marks in self.marks.by_stream.items():
            marks[:] = sorted(set(marks))
            for (size, _), (following, _) in pairwise(marks):
                if size == following:
                    what = f"Two checkpoints at size {size} have different roots."
                    self._findings.add(Flaw.CHECKPOINT_FORK, stream, None, what)
        return self.marks

    def _open(self, data: bytes) -> Checkpoint | None:
        try:
            note = parse_note(data)
            return opened(note, self._key) if self._key else note.checkpoint
        except CheckpointError as error:
            self._refuse(error)
            return None

    def _add(self, checkpoint: Checkpoint) -> str | None:
        stream = stream_of(checkpoint.origin, self._name) if self._name else None
        if stream is None:
            what = f"The checkpoint is of {checkpoint.origin!r:.200}, this log is {self._name!r:.80}."
            self._findings.add(Flaw.CHECKPOINT_OTHER_ORIGIN, "", None, what)
            return None
        self.marks.count += 1
        if checkpoint.size:  # An empty stream is a prefix of every stream.
            self.marks.by_stream.setdefault(stream, []).append((checkpoint.size, checkpoint.root))
        return stream

    def _refuse(self, error: CheckpointError) -> None:
        self._findings.add(Flaw(error.code), "", None, f"{error.args[0]}.")


def _name_of(key: PublicKey | None, log_id: str | None) -> str:
    """Return the name of the log that is checked: what it says of itself, or else its key's."""
    if log_id is None:
        return key.name if key else ""
    try:
        return log_name(log_id)
    except KeyRefusedError:
        return ""
