"""An event that could not be counted, kept with its reason: nothing is dropped silently, and nothing is kept unbounded.

Of an event that may hold personal values nothing is kept but its digest and size: one of a model with a `pii` feature, or one
that names no model known, of which nobody can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.canonical import digest

if TYPE_CHECKING:
    from guardian.catalog.model_file import ModelFile
    from guardian.events.reasons import Reason

SAMPLE_BYTES_MAX: Final = 2_048  # Enough to see what a producer did wrong; the digest names the whole.


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be counted, kept with its reason.

    Attributes:
        offset: Its offset in the partition; until the engine has placed it, its position in the step.
        reason: Public code, e.g. `not-json`.
        detail: One sentence.
        place: Where in the event, as a JSON path, e.g. `$.data.features.AGEP`.
        model: The model named, or empty.
        size: Bytes of the whole event.
        sha256: Digest of the whole event.
        sample: Its first bytes, bounded; empty where they may be personal.
        row: Its place in a record of the log that holds several events; 0 where a record is an event.
    """

    offset: int
    reason: str
    detail: str
    place: str
    model: str
    size: int
    sha256: str
    sample: bytes
    row: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an event, before it is known which event of the log it is."""

    reason: Reason
    place: str
    detail: str
    model: str = ""


def bury(event: bytes, offset: int, problem: Problem, model: ModelFile | None) -> DeadLetter:
    """Return the dead letter of `event`, which is of `model`; None where it names no model known.

    >>> from guardian.events.reasons import Reason
    >>> letter = bury(b"{", 7, Problem(Reason.NOT_JSON, "$", "Input data was truncated."), None)
    >>> letter.reason, letter.size, letter.sample
    ('not-json', 1, b'')
    """
    kept = 0 if model is None or model.spec.is_personal else SAMPLE_BYTES_MAX
    return DeadLetter(
        offset=offset,
        reason=problem.reason.value,
        detail=problem.detail,
        place=problem.place,
        model=problem.model,
        size=len(event),
        sha256=digest(event),
        sample=bytes(event[:kept]),
    )
