"""Signed tree heads: the C2SP tlog-checkpoint text as a C2SP signed note, one note a stream.

    guardian/<log id>/<stream>
    <size>
    <root, base64>

    — guardian/<log id> <base64 of key id and Ed25519 signature>

A checkpoint file is the notes of all streams, one after another, with an empty line between them. Kept where
nobody who can write the database can, it fixes everything up to its sizes: see `verify`.

Takes: heads and keys. Gives: bytes, and what bytes say once their signature was checked. Never: touches a
file.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.audit.signing import strict_base64
from guardian.errors import GuardianError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardian.audit.signing import PublicKey, SigningKey

NOTE_BYTES_MAX: Final = 128 << 10  # Room for the 16 signatures that the specification demands, post-quantum ones too.
CHECKPOINT_BYTES_MAX: Final = 16 << 20  # Of a whole file; beyond it the file is refused.
SIGNATURES_MAX: Final = 100
ROOT_BYTES: Final = 32
KEY_ID_BYTES: Final = 4

_DASH: Final = "\u2014 "
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE: Final = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


class CheckpointError(GuardianError):
    """A checkpoint cannot be used; its subclasses say why."""

    code = "audit.checkpoint"


class MalformedCheckpointError(CheckpointError):
    """The bytes are no signed checkpoint note."""

    code = "audit.checkpoint.malformed"


class UnknownKeyError(CheckpointError):
    """No signature on the note is by the key that was given."""

    code = "audit.checkpoint.unknown-key"


class BadSignatureError(CheckpointError):
    """The note claims the key that was given, and the signature is not by it."""

    code = "audit.checkpoint.bad-signature"


class OtherOriginError(CheckpointError):
    """The note is signed by the right key and speaks of another log."""

    code = "audit.checkpoint.other-origin"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says of one stream.

    Attributes:
        origin: `guardian/<log id>/<stream>`.
        size: Records that it covers.
        root: 32 bytes, the root over their leaf hashes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        r"""Return the text that is signed.

        >>> Checkpoint("guardian/x/control", 0, bytes(32)).text()
        'guardian/x/control\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n'
        """
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who says to have signed, and the signature."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note: nothing in it is to be believed before `opened`."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]


def origin_of(name: str, stream: str) -> str:
    """Return the origin of a stream of the log called `name`.

    >>> origin_of("guardian/x", "intake/0")
    'guardian/x/intake/0'
    """
    return f"{name}/{stream}"


def stream_of(origin: str, name: str) -> str | None:
    """Return the stream that `origin` is in the log called `name`, or None when it is of another log."""
    start = f"{name}/"
    return origin[len(start) :] if origin.startswith(start) and len(origin) > len(start) else None


def sign(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Return the signed note of a checkpoint. Raises OtherOriginError when the key is another log's."""
    if stream_of(checkpoint.origin, key.name) is None:
        raise OtherOriginError(f"the key {key.name} does not sign for {checkpoint.origin}", hint="sign with the key of that log")
    text = checkpoint.text()
    signature = base64.b64encode(key.public().id + key.private.sign(text.encode())).decode()
    return f"{text}\n{_DASH}{key.name} {signature}\n".encode()


def join_notes(notes: Iterable[bytes]) -> bytes:
    """Return a checkpoint file: the notes with an empty line between them."""
    return b"\n".join(notes)


def split_notes(data: bytes) -> list[bytes]:
    """Return the notes of a checkpoint file. Raises MalformedCheckpointError when it is none."""
    if not data or len(data) > CHECKPOINT_BYTES_MAX or not data.endswith(b"\n"):
        raise _malformed("it is empty, too long, or its last line does not end")
    blocks = data[:-1].split(b"\n\n")
    if len(blocks) % 2:
        raise _malformed("a text lacks its signatures, or signatures their text")
    return [b"%b\n\n%b\n" % pair for pair in zip(blocks[::2], blocks[1::2], strict=True)]


def parse_note(data: bytes) -> Note:
    """Read one note without believing it. Raises MalformedCheckpointError on any byte out of place."""
    if len(data) > NOTE_BYTES_MAX:
        raise _malformed(f"a note has {len(data)} bytes, more than {NOTE_BYTES_MAX}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise _malformed("it is no UTF-8") from error
    text, cut, signed = whole.partition("\n\n")
    lines = text.split("\n")
    if not cut or len(lines) != 3 or any(ord(c) < 0x20 and c != "\n" for c in whole):
        raise _malformed("a note is origin, size and root, an empty line, and signatures")
    return Note(_parse_text(*lines), _parse_signatures(signed))


def opened(note: Note, key: PublicKey) -> Checkpoint:
    """Return what a note says, once a signature of `key` over it holds and it speaks of that key's log.

    Signatures by other keys (witnesses, an older key) are passed over, as the specification demands. Raises
    UnknownKeyError, BadSignatureError or OtherOriginError.
    """
    ours = [line for line in note.signatures if (line.name, line.key_id) == (key.name, key.id)]
    if not ours:
        names = ", ".join(f"{line.name!r}+{line.key_id.hex()}" for line in note.signatures[:3])
        raise UnknownKeyError(
            f"{note.checkpoint.origin!r} is signed by {names}, not by {key.name}+{key.id.hex()}",
            hint="pass the public key of the log that made it; if this is it, the checkpoint is a forgery",
        )
    text = note.checkpoint.text().encode()
    if not all(key.verifies(line.value, text) for line in ours):
        raise BadSignatureError(
            f"the signature under {note.checkpoint.origin!r} at size {note.checkpoint.size} does not hold",
            hint="the checkpoint was changed or forged: take it from where it is kept again",
        )
    if stream_of(note.checkpoint.origin, key.name) is None:
        raise OtherOriginError(f"{note.checkpoint.origin!r} is no stream of {key.name}", hint="pass a checkpoint of this log")
    return note.checkpoint


def _parse_text(origin: str, size: str, root: str) -> Checkpoint:
    digest = strict_base64(root)
    if not origin or not _SIZE.fullmatch(size) or len(digest) != ROOT_BYTES:
        raise _malformed(f"{origin[:80]!r}, {size[:20]!r}, {root[:44]!r} are no origin, size and root")
    return Checkpoint(origin, int(size), digest)


def _parse_signatures(text: str) -> tuple[Signature, ...]:
    lines = text.split("\n")
    if lines.pop() or not 1 <= len(lines) <= SIGNATURES_MAX:
        raise _malformed(f"a note ends in 1 to {SIGNATURES_MAX} whole signature lines")
    out = []
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        value = strict_base64(match[2]) if match else b""
        if not match or len(value) <= KEY_ID_BYTES:
            raise _malformed(f"{line[:80]!r} is no signature line")
        out.append(Signature(match[1], value[:KEY_ID_BYTES], value[KEY_ID_BYTES:]))
    return tuple(out)


def _malformed(what: str) -> MalformedCheckpointError:
    return MalformedCheckpointError(f"this is no checkpoint: {what}", hint="pass the file as guardian wrote it")
