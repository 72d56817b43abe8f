"""Which of many keys are there: asked for in pieces, below every database's limit of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from guardian.adapters.sql.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

LOOKUP_CHUNK: Final = 500  # Keys asked for in one SELECT.


def present(connection: Connection, name: str, column: str, keys: Sequence[str]) -> set[str]:
    """Return those of `keys` that a column holds."""
    asked = table(name).c[column]
    found: set[str] = set()
    for chunk in chunks(keys):
        found.update(connection.execute(select(asked).where(asked.in_(chunk))).scalars())
    return found


def chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the keys in pieces of at most LOOKUP_CHUNK."""
    return (keys[start : start + LOOKUP_CHUNK] for start in range(0, len(keys), LOOKUP_CHUNK))
