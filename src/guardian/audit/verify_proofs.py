"""Whether a proof holds: the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2, step by step.

Takes: sizes, roots and proof nodes that anybody may have made. Gives: True or False, never an exception for
wrong bytes. Shares no code with `tree` and `proofs`, so that one mistake cannot hide in both.

A size is only as good as the signature over it: some neighbouring sizes have trees of the same shape, so
take size and root from one verified checkpoint.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HASH_BYTES = 32


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether `proof` shows that leaf hash `leaf` stands at `index` of `size` leaves under `root`."""
    if not (0 <= index < size and _all_hashes(leaf, root, *proof)):
        return False
    fn, sn = index, size - 1
    result = leaf
    for node in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            result = _parent(node, result)
            while not (fn & 1 or fn == 0):
                fn, sn = fn >> 1, sn >> 1
        else:
            result = _parent(result, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and hmac.compare_digest(result, root)


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether `proof` shows that the tree of `first` leaves is a prefix of that of `second` leaves.

    An empty tree is a prefix of every tree, and a tree of itself; both by an empty proof.
    """
    if not (0 <= first <= second and _all_hashes(first_root, second_root, *proof)):
        return False
    if first == 0:
        return not proof and hmac.compare_digest(first_root, hashlib.sha256().digest())
    if first == second:
        return not proof and hmac.compare_digest(first_root, second_root)
    if not proof:
        return False
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    return _grows(first - 1, second - 1, path) == (first_root, second_root)


def _grows(fn: int, sn: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Return the two roots that `path` leads to, or None when it does not fit the sizes."""
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for node in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            old, new = _parent(node, old), _parent(node, new)
            while not (fn & 1 or fn == 0):
                fn, sn = fn >> 1, sn >> 1
        else:
            new = _parent(new, node)
        fn, sn = fn >> 1, sn >> 1
    return (old, new) if sn == 0 else None


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _all_hashes(*values: bytes) -> bool:
    return all(isinstance(value, bytes) and len(value) == _HASH_BYTES for value in values)
