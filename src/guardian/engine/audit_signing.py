"""Taking a checkpoint: what the log holds now, verified and signed, to be kept where nobody can rewrite the log.

1. All heads and records are read in one read transaction, so the notes of all streams belong together.
2. The log is verified from its bytes, against every checkpoint signed before. A log that does not hold is not signed: a
   signature over it would make the rewriting look original. Crash here: nothing happened.
3. Each note is stored. Crash here: some notes are stored and all of them hold; the next checkpoint adds the rest.
4. The file is returned. Crash here: the notes are in the database; taking it again gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardian.audit.checkpoint import Checkpoint, join_notes, origin_of, sign
from guardian.audit.signing import KeyRefusedError, log_name
from guardian.audit.verify import verify
from guardian.errors import GuardianError, NotFoundError

if TYPE_CHECKING:
    from guardian.audit.signing import SigningKey
    from guardian.engine.audit_port import AuditLog


class CheckpointRefusedError(GuardianError):
    """The log is not what was signed before, or not what was written, and is not signed again. Exit code 1."""

    code = "audit.checkpoint.refused"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that was taken.

    Attributes:
        file: The checkpoint file: the notes of all streams.
        checkpoints: What they say, by stream.
        records: Records that they cover.
    """

    file: bytes
    checkpoints: tuple[Checkpoint, ...]
    records: int


def take_checkpoint(log: AuditLog, key: SigningKey, at: int) -> Signed:
    """Sign the heads of all streams and store the notes. `at` is the wall clock, UTC milliseconds.

    Raises CheckpointRefusedError when verification finds anything, KeyRefusedError when the key is another
    log's, and NotFoundError when there is nothing to sign.
    """
    with log.snapshot():
        name = log_name(log.log_id())
        if key.name != name:
            raise KeyRefusedError(f"the key is {key.name}'s, the log is {name}", hint="use the log's own key")
        # Without a key: an earlier note must agree whoever signed it.
        report = verify(log.rows(), heads=log.heads(), stored=log.checkpoints(), log_id=log.log_id())
    if report.first is not None:
        raise CheckpointRefusedError(
            f"the log does not hold: {report.first}", hint="run guardian audit verify, and compare with a copy kept elsewhere"
        )
    if not report.tips:
        raise NotFoundError("the log holds no record yet", hint="take a checkpoint after the first one")
    checkpoints = tuple(Checkpoint(origin_of(name, tip.stream), tip.size, tip.root) for tip in report.tips)
    notes = [sign(checkpoint, key) for checkpoint in checkpoints]
    for checkpoint, note in zip(checkpoints, notes, strict=True):
        log.put_checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), note, at)
    return Signed(join_notes(notes), checkpoints, report.records)
