"""The Ed25519 keys that sign checkpoints, in the text form of C2SP signed notes.

Takes: key bytes, PEM, or the public text `name+hash+base64`. Gives: keys. Never: makes randomness (a seed is
passed in), touches a file.

A key belongs to one log and is named for it, `guardian/<log id>`; its 4-byte id is
sha256(name || 0x0A || 0x01 || public key)[:4] (C2SP signed-note).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from guardian.errors import UnreachableError

SEED_BYTES: Final = 32
KEY_TEXT_BYTES_MAX: Final = 4096  # Of a key file; beyond it the file is no key.
ED25519: Final = b"\x01"  # C2SP signed-note: the signature type, before key bytes and in the key id.

_LOG_ID: Final = re.compile(r"[a-z0-9-]{1,64}")
_KEY_NAME: Final = re.compile(r"[^\s+\x00-\x20]{1,256}")
_PUBLIC: Final = re.compile(r"([^\s+\x00-\x20]{1,256})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\n?")


class KeyRefusedError(UnreachableError):
    """A signing key or a public key cannot be used as it stands. Exit code 4."""

    code = "audit.key.refused"


def log_name(log_id: str) -> str:
    """Return the name of a log, which is its key's name and the start of its streams' origins.

    >>> log_name("4f1c")
    'guardian/4f1c'
    """
    if not _LOG_ID.fullmatch(log_id):
        raise KeyRefusedError(f"{log_id[:64]!r} is no log id", hint="use 1 to 64 of a-z, 0-9 and -")
    return f"guardian/{log_id}"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What checks a log's signatures.

    Attributes:
        name: `guardian/<log id>`.
        raw: The 32 bytes of the Ed25519 key.
    """

    name: str
    raw: bytes

    def __post_init__(self) -> None:
        if not _KEY_NAME.fullmatch(self.name) or len(self.raw) != 32:  # RFC 8032
            raise KeyRefusedError(f"{self.name!r} with {len(self.raw)} bytes is no Ed25519 key", hint="make a new key")

    @property
    def id(self) -> bytes:
        """The 4 bytes that name this key inside a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.raw).digest()[:4]

    def text(self) -> str:
        """Write the key as `name+hash+base64`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.raw).decode()}"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether `signature` is this key's over `data`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What signs a log's checkpoints; never printed."""

    name: str
    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    def public(self) -> PublicKey:
        """Return the key that checks what this one signs."""
        return PublicKey(self.name, self.private.public_key().public_bytes_raw())


def private_pem(seed: bytes) -> bytes:
    """Return the PKCS #8 PEM of the Ed25519 key whose secret is `seed`, 32 bytes of true randomness."""
    if len(seed) != SEED_BYTES:
        raise KeyRefusedError(f"a seed of {len(seed)} bytes makes no key", hint=f"pass {SEED_BYTES} random bytes")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_signing_key(pem: bytes, name: str) -> SigningKey:
    """Read an unencrypted Ed25519 PEM as the key of the log called `name`. Raises KeyRefusedError."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        # What the library says may quote the key's bytes; it stays out of the message.
        raise KeyRefusedError("the private key is no unencrypted PEM", hint="restore it or make a new key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefusedError("the private key is not of type Ed25519", hint="make one with guardian init")
    signing = SigningKey(name, key)
    signing.public()  # The name is checked where the public half is built.
    return signing


def parse_public_key(text: str) -> PublicKey:
    """Read `name+hash+base64`, strictly: one line, the hash must be the key's. Raises KeyRefusedError.

    >>> parse_public_key(PublicKey("guardian/x", bytes(32)).text()).name
    'guardian/x'
    """
    match = _PUBLIC.fullmatch(text)
    raw = strict_base64(match[3]) if match else b""
    if not match or raw[:1] != ED25519 or len(raw) != 1 + SEED_BYTES:
        raise KeyRefusedError("this is no public key of a signed note", hint="pass one line: name+hash+base64, Ed25519")
    key = PublicKey(match[1], raw[1:])
    if key.id.hex() != match[2]:
        raise KeyRefusedError(
            f"the hash {match[2]} is not that of this key, {key.id.hex()}",
            hint="take the key from its source again",
        )
    return key


def strict_base64(text: str) -> bytes:
    r"""Return the bytes of canonical base64, or nothing: a second spelling could hide a flipped bit.

    >>> strict_base64("AA=="), strict_base64("AB==")
    (b'\x00', b'')
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if base64.b64encode(data).decode() == text else b""
