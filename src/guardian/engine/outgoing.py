"""What leaves through a relay, and how far it has left.

Takes: what a store keeps. Gives: rows in the order in which they must leave. A stream's mark is where whoever receives it has
acknowledged: it only rises, so that a relay that comes back late moves nothing back.

The streams are `outbox/<topic>` and `audit/<stream>`, whose marks are sequences, and `deadletter/<topic>/<partition>`, whose
marks are places in a log (`letter_mark`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from guardian.effects import DeadLetter
    from guardian.engine.outbox import OutboxRow
    from guardian.engine.ports import Partition

ROW_BITS: Final = 20  # Of a mark: a record of a log holds fewer than 2^20 events.
NO_LETTER: Final = -1  # The mark of a partition of which no dead letter has left.


class KeptLetter(NamedTuple):
    """A dead letter as it is stored.

    Attributes:
        letter: What could not be counted, and why.
        recorded_at: Wall clock, UTC milliseconds.
    """

    letter: DeadLetter
    recorded_at: int


class Outgoing(Protocol):
    """The store as a relay sees it."""

    def outbox_topics(self) -> list[str]:
        """Return every topic that something was announced on, in order of code points."""

    def outbox(self, topic: str, after_seq: int = 0, limit: int = 1_000) -> list[OutboxRow]:
        """Return announcements of a topic after a sequence, in order, at most `limit`."""

    def dead_letters_after(self, partition: Partition, offset: int, row: int, limit: int) -> list[KeptLetter]:
        """Return dead letters of a partition after a place, in order of (offset, row), at most `limit`.

        What comes after `letter_place(NO_LETTER)` is every letter.
        """

    def marks(self) -> dict[str, int]:
        """Return how far each stream has left; a stream of which nothing has left is not named."""

    def mark(self, stream: str, seq: int, at: int) -> None:
        """Say that everything of a stream up to `seq` was acknowledged at `at`, UTC milliseconds.

        A mark never falls: a lower one does nothing.
        """


def letter_mark(offset: int, row: int) -> int:
    """Return the mark of a dead letter's place; marks have the order of places.

    >>> letter_mark(7, 0) < letter_mark(7, 3) < letter_mark(8, 0)
    True
    """
    return offset << ROW_BITS | row


def letter_place(mark: int) -> tuple[int, int]:
    """Return the (offset, row) of a mark.

    >>> letter_place(letter_mark(7, 3)), letter_place(NO_LETTER) < (0, 0)
    ((7, 3), True)
    """
    return mark >> ROW_BITS, mark & ((1 << ROW_BITS) - 1)
