"""Canonical bytes and digests: the same value is always the same bytes.

Bytes are RFC 8785 (JSON Canonicalization Scheme); digests are SHA-256, written `sha256:<hex>`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value; integers must lie within +-(2^53 - 1).

    >>> canonical({"b": 1.0, "a": "x"})
    b'{"a":"x","b":1}'
    """
    return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as guardian writes digests."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of(value: Any) -> str:
    """Return the digest of a JSON value's canonical bytes."""
    return digest(canonical(value))


def short_id(*parts: str) -> str:
    """Return an id of 32 hexadecimal digits (128 bits of SHA-256) derived from `parts` and nothing else."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()[:32]
