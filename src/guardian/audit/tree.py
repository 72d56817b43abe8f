"""The Merkle tree over a stream's leaf hashes (RFC 9162 section 2.1), grown one leaf at a time.

Takes: leaf hashes, 32 bytes each, in order. Gives: roots. Never: holds more than one hash for each bit of
the size.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY_ROOT: Final = hashlib.sha256().digest()  # RFC 9162: the root of no leaves is the hash of nothing.
NODE_PREFIX: Final = b"\x01"


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return sha256(0x01 || left || right)."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


class CompactRange:
    """The roots of the perfect subtrees that a growing tree is made of, widest first.

    A tree of n leaves needs as many of them as n has bits set, so the root of a million records costs 20
    hashes of memory and one node hash a leaf.

    >>> tree = CompactRange()
    >>> tree.append(bytes(32)); tree.append(bytes(32))
    >>> tree.size, tree.root() == node_hash(bytes(32), bytes(32))
    (2, True)
    """

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self._peaks: list[bytes] = []
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Take in the next leaf hash."""
        carry, peaks = self.size, self._peaks
        while carry & 1:
            leaf = hashlib.sha256(NODE_PREFIX + peaks.pop() + leaf).digest()
            carry >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of all leaves so far; EMPTY_ROOT when there is none."""
        if not self._peaks:
            return EMPTY_ROOT
        *wider, right = self._peaks
        for left in reversed(wider):
            right = node_hash(left, right)
        return right


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of a tree over `leaves`."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()
