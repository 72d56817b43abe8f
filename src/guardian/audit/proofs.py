"""Inclusion and consistency proofs, made as RFC 9162 sections 2.1.3.1 and 2.1.4.1 define them.

Takes: a tree's leaf hashes. Gives: the nodes of a proof, in the order of the RFC. `verify_proofs` checks
them and shares no code with this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.audit.tree import root_of
from guardian.errors import GuardianError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ProofRefusedError(GuardianError):
    """A proof was asked for that no tree of this size can give."""

    code = "audit.proof.refused"


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree over `leaves`: at most ceil(log2 n) nodes.

    Raises ProofRefusedError unless 0 <= index < len(leaves).
    """
    if not 0 <= index < len(leaves):
        raise ProofRefusedError(f"leaf {index} is not in a tree of {len(leaves)}", hint="ask for an index below the tree's size")
    return _path(leaves, index, 0, len(leaves))


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that the tree over the first `first` leaves is a prefix of the tree over all.

    Empty when `first` is the whole tree. Raises ProofRefusedError unless 0 < first <= len(leaves).
    """
    if not 0 < first <= len(leaves):
        raise ProofRefusedError(
            f"a tree of {len(leaves)} does not grow out of one of {first}",
            hint="ask for a size from 1 to the tree's own",
        )
    return _subproof(leaves, first, 0, len(leaves), whole=True)


def _path(leaves: Sequence[bytes], index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    cut = start + _split(end - start)
    if index < cut:
        return [*_path(leaves, index, start, cut), root_of(leaves[cut:end])]
    return [*_path(leaves, index, cut, end), root_of(leaves[start:cut])]


def _subproof(leaves: Sequence[bytes], first: int, start: int, end: int, *, whole: bool) -> list[bytes]:
    if first == end:
        # The verifier knows the old root; any other subtree that ends here must be named.
        return [] if whole else [root_of(leaves[start:end])]
    cut = start + _split(end - start)
    if first <= cut:
        return [*_subproof(leaves, first, start, cut, whole=whole), root_of(leaves[cut:end])]
    return [*_subproof(leaves, first, cut, end, whole=False), root_of(leaves[start:cut])]


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
