"""Canonical bytes and digests: the same value is always the same bytes.

Bytes are RFC 8785 (JSON Canonicalization Scheme); digests are SHA-256, written `sha256:<hex>`.
"""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring as _quote
from typing import Any, Final

import rfc8785

_EXACT_MAX: Final = (1 << 53) - 1
_STRINGS: Final = frozenset({str})
_PLAIN_MIN: Final = 1e-4  # From here to 2^53, Python and RFC 8785 write a fraction alike.


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value; integers must lie within +-(2^53 - 1).

    >>> canonical({"b": 1.0, "a": "x"})
    b'{"a":"x","b":1}'
    """
    try:
        return _text(value).encode()
    except UnicodeEncodeError:  # A lone surrogate; rfc8785 says so better.
        return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as guardian writes digests."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of(value: Any) -> str:
    """Return the digest of a JSON value's canonical bytes."""
    return digest(canonical(value))


def short_id(*parts: str) -> str:
    """Return an id of 32 hexadecimal digits (128 bits of SHA-256) derived from `parts` and nothing else."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:32]


def _text(value: Any) -> str:
    # rfc8785 is exact, but slow: the ordinary is written here, in less than half the time, and the rest there.
    kind = type(value)
    if kind is str:
        return _quote(value)
    if kind is float and -_EXACT_MAX <= value <= _EXACT_MAX:
        if value.is_integer():
            return str(int(value))
        if not -_PLAIN_MIN < value < _PLAIN_MIN:
            return repr(value)
    if kind is int and -_EXACT_MAX <= value <= _EXACT_MAX:
        return str(value)
    if kind is dict and set(map(type, value)) <= _STRINGS and "".join(value).isascii():
        return "{" + ",".join([f"{_quote(name)}:{_text(value[name])}" for name in sorted(value)]) + "}"
    if kind is list or kind is tuple:
        return "[" + ",".join(map(_text, value)) + "]"
    return rfc8785.dumps(value).decode()
