"""Trees and proofs against published roots, and against every forgery of a valid proof."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.audit.leaf import leaf_hash
from guardian.audit.proofs import ProofRefusedError, consistency_proof, inclusion_proof
from guardian.audit.tree import EMPTY_ROOT, CompactRange, root_of
from guardian.audit.verify_proofs import verify_consistency, verify_inclusion

# The test leaves of certificate-transparency and the published roots of the trees over the first 1 to 8 of them.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
EVERY_MAX = 64
SAMPLE_MAX = 300

MANY = [leaf_hash(b"%d" % n) for n in range(SAMPLE_MAX)]
ROOT = [root_of(MANY[:n]) for n in range(SAMPLE_MAX + 1)]


def sampled(seed):
    rng = random.Random(seed)
    for _ in range(60):
        size = rng.randint(EVERY_MAX + 1, SAMPLE_MAX)
        yield rng.randrange(size), size


INCLUDED = [(i, n) for n in range(1, EVERY_MAX + 1) for i in range(n)] + list(sampled(1))
PREFIXES = [(m, n) for n in range(1, EVERY_MAX + 1) for m in range(1, n + 1)] + [(m or 1, n) for m, n in sampled(2)]


def test_the_published_roots():
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]
    tree = CompactRange()
    assert tree.root() == EMPTY_ROOT == hashlib.sha256(b"").digest()
    for n, want in enumerate(ROOTS, 1):
        tree.append(leaves[n - 1])
        assert tree.root().hex() == root_of(leaves[:n]).hex() == want


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_the_root_is_that_of_the_recursive_definition(leaves):
    assert root_of(leaves) == merkle_tree_hash(leaves)


def merkle_tree_hash(leaves):
    """RFC 9162 section 2.1.1, word for word, over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    k = max(1 << e for e in range(len(leaves).bit_length()) if 1 << e < len(leaves))
    return hashlib.sha256(b"\x01" + merkle_tree_hash(leaves[:k]) + merkle_tree_hash(leaves[k:])).digest()


def flipped(node, at):
    return node[: at // 8] + bytes([node[at // 8] ^ 1 << at % 8]) + node[at // 8 + 1 :]


def forged_proofs(proof, rng):
    """Every proof that is one mutation away: a bit in each node, a node less, a node more, nodes exchanged."""
    for at, node in enumerate(proof):
        yield [*proof[:at], flipped(node, rng.randrange(256)), *proof[at + 1 :]]
        yield [*proof[:at], node[:-1], *proof[at + 1 :]]
        yield proof[:at] + proof[at + 1 :]
        yield [*proof[:at], node, *proof[at:]]
    for extra in (bytes(32), MANY[0], b""):
        yield [*proof, extra]
        yield [extra, *proof]
    for at in range(len(proof) - 1):
        yield [*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]]
    if len(proof) > 1:
        yield []


def inclusion_shape(index, size):
    """On which side the nodes of an inclusion proof stand, from the definition: two equal shapes cannot be told apart."""
    if size == 1:
        return ""
    k = 1 << (size - 1).bit_length() - 1
    return inclusion_shape(index, k) + "R" if index < k else inclusion_shape(index - k, size - k) + "L"


def test_inclusion_holds_and_no_forgery_does():
    rng = random.Random(3)
    for index, size in INCLUDED:
        leaf, root, proof = MANY[index], ROOT[size], inclusion_proof(MANY[:size], index)
        assert verify_inclusion(leaf, index, size, proof, root), (index, size)
        for forged in forged_proofs(proof, rng):
            assert not verify_inclusion(leaf, index, size, forged, root), (index, size, forged)
        assert not verify_inclusion(flipped(leaf, rng.randrange(256)), index, size, proof, root)
        assert not verify_inclusion(leaf, index, size, proof, flipped(root, rng.randrange(256)))
        assert not verify_inclusion(leaf, index, size * 2, proof, root)
        assert not verify_inclusion(leaf, -1, size, proof, root)
        assert not verify_inclusion(leaf, size, size, proof, root)
        for other in {0, index - 1, index + 1, index ^ 1, index ^ 2, size - 1} - {index}:
            assert not verify_inclusion(leaf, other, size, proof, root), (index, other, size)
        for other in {size - 1, size + 1, size ^ 2, size // 2} - {size}:
            # A proof says nothing about leaves to the right that change no shape: the signature over the size does.
            alike = 0 <= index < other and inclusion_shape(index, other) == inclusion_shape(index, size)
            assert verify_inclusion(leaf, index, other, proof, root) == alike, (index, size, other)


def consistency_shape(first, second):
    """How the two roots are made of the proof's nodes, from RFC 9162 section 2.1.4.1, as expressions."""
    count = 0

    def fresh():
        nonlocal count
        count += 1
        return count - 1

    def sub(m, n, whole):
        if m == n:
            node = "old" if whole else fresh()
            return node, node
        k = 1 << (n - 1).bit_length() - 1
        if m <= k:
            old, new = sub(m, k, whole)
            return old, (new, fresh())
        old, new = sub(m - k, n - k, False)
        left = fresh()
        return (left, old), (left, new)

    return (*sub(first, second, True), count)


def test_consistency_holds_and_no_forgery_does():
    rng = random.Random(4)
    for first, second in PREFIXES:
        old, new, proof = ROOT[first], ROOT[second], consistency_proof(MANY[:second], first)
        assert verify_consistency(first, second, old, new, proof), (first, second)
        for forged in forged_proofs(proof, rng):
            assert not verify_consistency(first, second, old, new, forged), (first, second, forged)
        assert not verify_consistency(first, second, flipped(old, rng.randrange(256)), new, proof)
        assert not verify_consistency(first, second, old, flipped(new, rng.randrange(256)), proof)
        if first != second:
            assert not verify_consistency(first, second, new, old, proof)
            assert not verify_consistency(first, second, old, old, proof)
            assert not verify_consistency(first, second, new, new, proof)
            assert not verify_consistency(second, first, new, old, proof)
        sizes = {(first + 1, second), (first - 1, second), (first, second + 1), (first, second - 1)}
        for a, b in sizes | {(first * 2, second), (first, second * 2), (first * 2, second * 2), (first // 2, second)}:
            alike = 0 < a <= b and (a == b) == (first == second)
            alike = alike and consistency_shape(a, b) == consistency_shape(first, second)
            assert verify_consistency(a, b, old, new, proof) == alike, (first, second, a, b)


def test_a_forked_tree_is_no_continuation():
    fork = [*MANY[:20], leaf_hash(b"fork"), *MANY[21:40]]
    assert verify_consistency(20, 40, ROOT[20], root_of(fork), consistency_proof(fork, 20))
    assert not verify_consistency(30, 40, ROOT[30], root_of(fork), consistency_proof(fork, 30))


def test_the_empty_tree_is_a_prefix_of_every_tree_and_of_nothing_else():
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert verify_consistency(0, 5, EMPTY_ROOT, ROOT[5], [])
    assert not verify_consistency(0, 5, ROOT[5], ROOT[5], [])
    assert not verify_consistency(0, 5, EMPTY_ROOT, ROOT[5], [ROOT[5]])
    assert not verify_consistency(1, 5, ROOT[1], ROOT[5], [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: inclusion_proof(MANY[:3], 3),
        lambda: inclusion_proof([], 0),
        lambda: inclusion_proof(MANY[:3], -1),
        lambda: consistency_proof(MANY[:3], 0),
        lambda: consistency_proof(MANY[:3], 4),
    ],
)
def test_a_proof_of_nothing_is_refused(ask):
    with pytest.raises(ProofRefusedError):
        ask()


def test_two_hashes_cut_in_another_place_are_no_proof():
    """A node of 64 bytes beside a leaf of none hashes to the right parent; only its length betrays it."""
    left, right = MANY[:2]
    assert verify_inclusion(right, 1, 2, [left], ROOT[2])
    for leaf, node in ((b"", left + right), (right[1:], left + right[:1]), (left + right, b"")):
        assert not verify_inclusion(leaf, 1, 2, [node], ROOT[2])
        assert not verify_consistency(1, 2, leaf, ROOT[2], [node])
    for value in ("x" * 32, None, 7, bytearray(right)):
        assert not verify_inclusion(value, 1, 2, [left], ROOT[2])
        assert not verify_consistency(1, 2, left, ROOT[2], [value])
