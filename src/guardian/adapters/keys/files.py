"""Making and reading the key files of a log: `audit.pem` (0600) signs checkpoints, `audit.pub` checks them.

A private key is never overwritten, never readable by others for an instant, never followed through a symbolic
link, and never printed. Losing it costs nothing that was signed; who steals it can sign other histories,
which only a copy of an earlier checkpoint outside their reach will contradict.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from guardian.audit.signing import (
    KEY_TEXT_BYTES_MAX,
    SEED_BYTES,
    KeyRefusedError,
    PublicKey,
    SigningKey,
    load_signing_key,
    parse_public_key,
    private_pem,
)
from guardian.errors import GuardianError, NotFoundError, UnreachableError

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o700
OTHERS: Final = 0o077  # Permission bits of everybody but the owner.


class KeyExistsError(GuardianError):
    """A key file is there already; guardian never overwrites one."""

    code = "audit.key.exists"


def create_key_pair(private: Path, public: Path, name: str) -> PublicKey:
    """Make a new key for the log called `name`, and write both halves.

    Their directory is made where it is missing. A crash between the two files leaves the private one; `ensure_public_key`
    writes the other later. Raises KeyExistsError when one of them is there already, UnreachableError when they cannot be
    written.
    """
    if os.path.lexists(public):
        raise _exists(public)
    pem = private_pem(secrets.token_bytes(SEED_BYTES))
    key = load_signing_key(pem, name)
    private.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    _write_new(private, pem, PRIVATE_MODE)
    ensure_public_key(public, key)
    return key.public()


def read_signing_key(path: Path, name: str) -> SigningKey:
    """Read the private key of the log called `name`.

    Raises NotFoundError when there is none, UnreachableError when it cannot be read, KeyRefusedError when
    others may read it or when it is no Ed25519 key.
    """
    return load_signing_key(_read(path, forbidden=OTHERS), name)


def read_public_key(path: Path) -> PublicKey:
    """Read a public key file. Raises NotFoundError, UnreachableError or KeyRefusedError."""
    try:
        return parse_public_key(_read(path).decode())
    except UnicodeDecodeError as error:
        raise KeyRefusedError(f"{path} is no public key", hint="pass the file audit.pub of the log") from error


def ensure_public_key(path: Path, key: SigningKey) -> None:
    """Write the public half where it is missing. Raises KeyRefusedError when the file holds another key."""
    text = f"{key.public().text()}\n".encode()
    if not os.path.lexists(path):
        _write_new(path, text, PUBLIC_MODE)
    elif _read(path) != text:
        raise KeyRefusedError(
            f"{path} does not belong to the private key of {key.name}",
            hint="restore the pair that was made for this log",
        )


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet, with its mode from the start, and make it durable."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(number)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise UnreachableError(f"{path} cannot be written: {error.strerror}", hint="make its directory writable") from error


def _read(path: Path, *, forbidden: int = 0) -> bytes:
    follow = os.O_NOFOLLOW if forbidden else 0
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | follow)
        with os.fdopen(number, "rb") as file:
            if os.fstat(number).st_mode & forbidden:
                raise KeyRefusedError(f"{path} is open to others", hint=f"chmod 600 {path}; if it leaked, make a new one")
            data = file.read(KEY_TEXT_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no key {path}", hint="guardian init makes one; or name it") from error
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", hint="make it a readable file") from error
    if len(data) > KEY_TEXT_BYTES_MAX:
        raise KeyRefusedError(f"{path} is too long for a key", hint="name the key file itself")
    return data


def _exists(path: Path) -> KeyExistsError:
    return KeyExistsError(f"{path} is there already", hint="keep it, or move it away yourself: a lost key is not made again")
