"""How one event that cannot be counted is found in a batch that failed: the batch is halved until that event is left."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Narrowing:
    """What is known of a batch that failed.

    Attributes:
        limit: At most so many events, or records of a fleet's log, are to be taken next; None for as many as ever.
        buried: Offsets that were found to be at fault: dead letters.
    """

    limit: int | None = None
    buried: set[int] = field(default_factory=set)

    def narrow(self, first: int, taken: int) -> bool:
        """Halve a batch of `taken` from offset `first` that failed; bury the one that is left.

        False where there is nothing to leave out: the failure is not an event's.

        >>> narrowing = Narrowing()
        >>> narrowing.narrow(7, 2), narrowing.limit, narrowing.narrow(7, 1), narrowing.buried, narrowing.narrow(7, 1)
        (True, 1, True, {7}, False)
        """
        if taken == 0 or first in self.buried:
            return False
        if taken == 1:
            self.buried.add(first)
        self.limit = max(1, taken // 2)
        return True

    def reset(self) -> None:
        """Forget it: a batch has landed."""
        self.limit = None
        self.buried.clear()
