"""Events into the log, in batches; the core of `guardian emit`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EMIT_BATCH: Final = 5_000  # Events a row of the inbox: a crash loses none that was told, and at most these must be sent again.


class Intake(Protocol):
    """A log as far as sending needs it: the inbox, or a topic."""

    def end(self) -> int:
        """Return how many events there are."""

    def append(self, events: Sequence[bytes], received_at: int) -> int:
        """Take events in; return how many there were before."""


@dataclass(frozen=True, slots=True)
class EmitReport:
    """What was sent: `events` of them, the first at offset `first_offset`, the next to come at `end`."""

    events: int
    first_offset: int
    end: int


def emit(
    log: Intake,
    events: Iterable[bytes],
    *,
    now: Callable[[], int],
    progress: Callable[[int], None] = lambda _: None,
    batch: int = EMIT_BATCH,
) -> EmitReport:
    """Append `events` in order, `batch` at a time, and say after each how many are in the log for good.

    Args:
        log: Where they go.
        events: The bytes of each.
        now: When a batch is received, UTC milliseconds: a clock, or the instant that a replay is to take place in.
        progress: Told the number of events of each batch once it is appended.
        batch: Events an append, at least 1.
    """
    first_offset = log.end()
    sent, waiting = 0, iter(events)
    while part := list(islice(waiting, batch)):
        first = log.append(part, now())
        first_offset = first if sent == 0 else first_offset
        sent += len(part)
        progress(len(part))
    return EmitReport(sent, first_offset, log.end())
