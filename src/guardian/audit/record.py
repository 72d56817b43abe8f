"""One audit record: what it says, as canonical bytes, and its place in the hash chain of its stream.

Takes: a stream, a place in it and a JSON body. Gives: a `Sealed` record, which is what a store keeps, column
by column. Never: reads a clock, keeps state, or re-serialises what was sealed.

The bytes are RFC 8785 of

    {"v": 1, "stream", "seq", "id", "kind", "model", "recorded_at", "prev", "body"}

and `hash` is sha256(0x00 || bytes), the leaf hash of RFC 9162 section 2.1.1: one hash serves the chain and
the tree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from guardian.audit.leaf import FIRST_PREV, RECORD_BYTES_MAX, RECORD_VERSION, Sealed, leaf_hash
from guardian.canonical import canonical
from guardian.errors import GuardianError
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

SEQ_MAX: Final = (1 << 53) - 1  # The greatest integer that RFC 8785 writes exactly.
NAME_LENGTH_MAX: Final = 256  # Of stream, id, kind and model, in characters.

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_STREAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*")


class RecordRefusedError(GuardianError):
    """A record breaks a bound or a rule of the audit log and is not sealed."""

    code = "audit.record.refused"


def seal(  # noqa: PLR0913  # the eight fields of a record
    stream: str,
    seq: int,
    prev_hash: str,
    kind: str,
    id: str,  # noqa: A002  # the name of the column
    model: str,
    recorded_at_ms: int,
    body: Mapping[str, Any],
) -> Sealed:
    """Return the record at `seq` of `stream`, after the record whose hash is `prev_hash`.

    Raises RecordRefusedError when a name, the place or the size is out of bounds, or when `body` is no JSON
    value.

    >>> first = seal("control", 0, FIRST_PREV, "activation", "a1", "", 0, {"n": 1.0})
    >>> first.body_bytes[:32], first.hash[:16]
    (b'{"body":{"n":1},"id":"a1","kind"', 'afd9a4ee12aa8798')
    >>> seal("control", 1, first.hash, "activation", "a2", "", 0, {}).prev == first.hash
    True
    """
    _check_place(stream, seq, prev_hash)
    _check_names(id=id, kind=kind, model=model)
    try:
        recorded_at = format_time(recorded_at_ms)
        data = canonical(
            {
                "v": RECORD_VERSION,
                "stream": stream,
                "seq": seq,
                "id": id,
                "kind": kind,
                "model": model,
                "recorded_at": recorded_at,
                "prev": prev_hash,
                "body": dict(body),
            }
        )
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordRefusedError(
            f"record {id} of {stream} has no canonical bytes: {error}",
            hint="keep finite numbers, integers within 2^53 and valid text in its body",
        ) from error
    if len(data) > RECORD_BYTES_MAX:
        raise RecordRefusedError(
            f"record {id} of {stream} has {len(data)} bytes, more than {RECORD_BYTES_MAX}",
            hint="split what it says over several records",
        )
    return Sealed(stream, seq, id, kind, model, recorded_at_ms, data, prev_hash, record_hash(data))


def record_hash(data: bytes) -> str:
    """Return the leaf hash of a record's canonical bytes, hex: what its successor's `prev` holds."""
    return leaf_hash(data).hex()


def _check_place(stream: str, seq: int, prev_hash: str) -> None:
    if len(stream) > NAME_LENGTH_MAX or not _STREAM.fullmatch(stream):
        raise RecordRefusedError(
            f"{stream[:NAME_LENGTH_MAX]!r} is no stream name",
            hint="write letters, digits and - _ . in parts separated by /",
        )
    if not 0 <= seq <= SEQ_MAX or not _HASH.fullmatch(prev_hash) or (seq == 0) != (prev_hash == FIRST_PREV):
        raise RecordRefusedError(
            f"sequence {seq} after hash {prev_hash[:64]!r} is no place in {stream}",
            hint="pass the stored head's size and hash; 0 and 64 zeros for the first record",
        )


def _check_names(**names: str) -> None:
    for name, value in names.items():
        if len(value) > NAME_LENGTH_MAX or (not value and name != "model"):
            raise RecordRefusedError(
                f"the {name} of a record has {len(value)} characters",
                hint=f"keep it between 1 and {NAME_LENGTH_MAX} characters",
            )
