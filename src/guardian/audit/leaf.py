"""What a store keeps of one audit record, and the hash that makes it a leaf.

Takes and gives plain values. Standard library only: the verifier, which an auditor may run alone, starts
here.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

RECORD_VERSION: Final = 1
RECORD_BYTES_MAX: Final = 16 << 20  # Beyond it a record is refused, and with it the transaction that wanted it.
FIRST_PREV: Final = "0" * 64  # The `prev` of sequence 0.
LEAF_PREFIX: Final = b"\x00"  # RFC 9162: keeps a leaf from being taken for a node.


class Sealed(NamedTuple):
    """An audit record as it is stored: its columns, and the bytes that say all of them again.

    A tuple, because a verifier reads millions of them.

    Attributes:
        stream: `decisions/<model>`, `intake/<partition>` or `control`.
        seq: From 0, gapless in its stream.
        id: Unique in the log.
        kind: What the record says, e.g. `verdicts`.
        model: The model it is about, or empty.
        recorded_at: Wall clock, UTC milliseconds. The bytes hold it as RFC 3339.
        body_bytes: The canonical bytes of the whole record, not of its body alone.
        prev: `hash` of the record before, hex; 64 zeros for the first.
        hash: sha256(0x00 || body_bytes), hex.
    """

    stream: str
    seq: int
    id: str
    kind: str
    model: str
    recorded_at: int
    body_bytes: bytes
    prev: str
    hash: str


class Head(NamedTuple):
    """Where a stream ends: how many records it holds and the hash of the last one."""

    stream: str
    size: int
    hash: str


class StoredCheckpoint(NamedTuple):
    """A signed tree head of one stream, as a store or an export keeps it.

    Attributes:
        origin: `guardian/<log id>/<stream>`.
        size: Records that it covers.
        root: Root hash, hex.
        note: The signed note, byte for byte.
        at: When it was signed, wall clock, UTC milliseconds.
    """

    origin: str
    size: int
    root: str
    note: bytes
    at: int


def leaf_hash(data: bytes) -> bytes:
    """Return sha256(0x00 || data), the leaf hash of RFC 9162 section 2.1.1.

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return hashlib.sha256(LEAF_PREFIX + data).digest()
