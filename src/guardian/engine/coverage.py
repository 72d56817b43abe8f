"""What a coverage record says of the events in its interval: a digest that anyone who has the log can compute again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardian.engine.ports import LogRecord

BINARY_MODE: Final = "ce_"  # Headers that begin so are attributes of an event, and no mere transport.


def digest_of_values(values: Iterable[bytes]) -> str:
    """Return SHA-256 over each value's length, as 8 bytes with the least first, and the value.

    >>> digest_of_values([b"a", b""]) == digest_of_values([b"", b"a"])
    False
    """
    covered = hashlib.sha256()
    for value in values:
        covered.update(len(value).to_bytes(8, "little"))
        covered.update(value)
    return f"sha256:{covered.hexdigest()}"


def digest_of_records(records: Sequence[LogRecord]) -> str:
    """Return `digest_of_values` of records; of one whose headers say part of the event, each header is a value before it."""
    return digest_of_values(value for record in records for value in _values(record))


def tail_of(record: LogRecord) -> str:
    """Return what a partition's last counted record is known again by: its digest and its time."""
    return f"{record.timestamp}/{digest_of_records([record])}"


def _values(record: LogRecord) -> list[bytes]:
    value = record.value or b""
    if not record.headers or not any(name.lower().startswith(BINARY_MODE) for name, _ in record.headers):
        return [value]
    return [*(name.encode() + b"\0" + said for name, said in record.headers), value]
