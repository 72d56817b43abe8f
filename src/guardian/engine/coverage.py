"""What a coverage record says of the events in its interval: a digest that anyone who has the log can compute again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardian.engine.ports import LogRecord

BINARY_MODE: Final = "ce_"  # Headers that begin so are attributes of an event, and no mere transport.


def digest_of_values(values: Sequence[bytes]) -> str:
    """Return SHA-256 over the lengths of all values, 8 bytes each with the least first, and then the values.

    >>> digest_of_values([b"a", b""]) == digest_of_values([b"", b"a"])
    False
    """
    covered = hashlib.sha256(np.fromiter(map(len, values), "<i8", len(values)).tobytes())
    covered.update(b"".join(values))
    return f"sha256:{covered.hexdigest()}"


def digest_of_records(records: Sequence[LogRecord]) -> str:
    """Return `digest_of_values` of records; of one whose headers say part of the event, each header is a value before it.

    A header is its name, a byte 0, and a byte 1 with its value, or a second byte 0 where that is null.
    """
    headers = [record.headers for record in records]
    if headers.count(headers[0]) == len(headers) and not _says_something(headers[0]):
        return digest_of_values([record.value or b"" for record in records])
    return digest_of_values([value for record in records for value in _values(record)])


def tail_of(record: LogRecord) -> str:
    """Return what a partition's last counted record is known again by: its digest and its time."""
    return f"{record.timestamp}/{digest_of_records([record])}"


def _says_something(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    return any(name.lower().startswith(BINARY_MODE) for name, _ in headers)


def _values(record: LogRecord) -> list[bytes]:
    value = record.value or b""
    if not _says_something(record.headers):
        return [value]
    return [*(_bytes_of(name) + (b"\0\0" if said is None else b"\0\1" + said) for name, said in record.headers), value]


def _bytes_of(name: str) -> bytes:
    """Return a name as it lies in the log: what is not UTF-8 there is lone surrogates here (PEP 383)."""
    try:
        return name.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # Surrogates that stand for no byte; no reader of a log makes them.
        return name.encode(errors="surrogatepass")
