"""Audit logs to read, sign and tamper with: honest by construction, every part replaceable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from guardian.audit.checkpoint import Checkpoint, join_notes, origin_of, sign
from guardian.audit.leaf import FIRST_PREV, Head, Sealed
from guardian.audit.record import seal
from guardian.audit.signing import SigningKey, load_signing_key, log_name, private_pem
from guardian.audit.tree import root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

STARTED_AT = 1_767_225_600_000  # 2026-01-01


@dataclass(frozen=True)
class LogOf:
    """A log's rows by (stream, seq), and its heads."""

    rows: tuple[Sealed, ...]
    heads: tuple[Head, ...]

    def stream(self, name: str) -> tuple[Sealed, ...]:
        """Return the rows of one stream."""
        return tuple(row for row in self.rows if row.stream == name)

    def tampered(self, change: Callable[[list[Sealed]], Iterable[Sealed]]) -> LogOf:
        """Return the log with its rows changed and its heads as they were."""
        return replace(self, rows=tuple(change(list(self.rows))))


def chained(stream: str, says: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Sealed]:
    """Return the records of one stream, each said as (kind, body)."""
    rows: list[Sealed] = []
    prev = FIRST_PREV
    for seq, (kind, body) in enumerate(says):
        model = stream.partition("/")[2] if stream.startswith("decisions/") else ""
        row = seal(stream, seq, prev, kind, f"{stream}-{seq}", model, STARTED_AT + seq * 1_000, body)
        rows.append(row)
        prev = row.hash
    return rows


def coverage(*ends: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Return coverage from offset 0 to each of `ends`, one record an interval."""
    starts = (0, *ends[:-1])
    return [
        ("coverage", {"from_offset": a, "to_offset": b, "count": b - a, "digest": f"sha256:{a:064x}"})
        for a, b in zip(starts, ends, strict=True)
    ]


def log_of(*streams: Sequence[Sealed]) -> LogOf:
    """Return a log of whole streams."""
    held = sorted((rows for rows in streams if rows), key=lambda rows: rows[0].stream)
    heads = tuple(Head(rows[-1].stream, len(rows), rows[-1].hash) for rows in held)
    return LogOf(tuple(row for rows in held for row in rows), heads)


def small_log(records: int = 12) -> LogOf:
    """Return a log of three streams with `records` records each."""
    return log_of(
        chained("control", [("activation", {"n": n, "text": "Größe \u2028 x"}) for n in range(records)]),
        chained("decisions/m", [("verdicts", {"rows": [{"value": n / 7}]}) for n in range(records)]),
        chained("intake/0", coverage(*range(10, 10 * records + 1, 10))),
    )


def signing_key(seed: int = 1, log_id: str = "test") -> SigningKey:
    """Return a key that is the same every time. Never for anything but tests."""
    return load_signing_key(private_pem(bytes([seed]) * 32), log_name(log_id))


def checkpoint_of(log: LogOf, key: SigningKey, name: str | None = None) -> bytes:
    """Return the checkpoint file of a log; `name` is the log's, the key's without."""
    notes = []
    for head in log.heads:
        leaves = [bytes.fromhex(row.hash) for row in log.stream(head.stream)]
        note = sign(Checkpoint(origin_of(name or key.name, head.stream), len(leaves), root_of(leaves)), key)
        notes.append(note)
    return join_notes(notes)
