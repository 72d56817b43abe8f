"""What leaves: announcements as structured CloudEvents with their place in the topic.

Takes: an announcement and its sequence. Gives: canonical bytes, the same for the same announcement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardian.canonical import canonical
from guardian.units import format_time

if TYPE_CHECKING:
    from guardian.effects import Announcement

SOURCE: Final = "/guardian"
SEQUENCE_DIGITS: Final = 16  # The `sequence` extension must sort as text; 16 digits hold more than 2^53.


class OutboxRow(NamedTuple):
    """One announcement in its topic's order.

    Attributes:
        topic: Without prefix.
        seq: From 1, gapless in its topic.
        msg_id: The CloudEvent's id.
        key: The model.
        value: The structured CloudEvent, JSON.
        recorded_at: Wall clock, UTC milliseconds.
    """

    topic: str
    seq: int
    msg_id: str
    key: str
    value: bytes
    recorded_at: int


def cloud_event(announcement: Announcement, sequence: int) -> bytes:
    """Return the structured CloudEvent 1.0 of an announcement, as canonical JSON."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": announcement.id,
        "source": SOURCE,
        "type": announcement.type,
        "time": format_time(announcement.time),
        "datacontenttype": "application/json",
        "sequence": f"{sequence:0{SEQUENCE_DIGITS}d}",
        "data": dict(announcement.data),
    }
    if announcement.subject:
        event["subject"] = announcement.subject
    return canonical(event)
