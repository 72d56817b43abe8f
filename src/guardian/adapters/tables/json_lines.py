"""JSON lines by msgspec: an object a line, typed as written; pyarrow's reader would take some text for timestamps."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardian.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from guardian.adapters.tables.table import Batch, Read

NAMING_LINES: Final = 1_000  # The columns are those of the first lines: a key that is always null may be left out of some.
LINE_BYTES_MAX: Final = 1 << 24

_HINT: Final = "give one JSON object a line"


def open_json_lines(path: Path) -> tuple[tuple[str, ...], int | None, Read]:
    """Return the keys of a file's first lines, None (the rows are not counted), and how to read it. Raises UnreachableError."""
    names = tuple(dict.fromkeys(key for row in islice(_rows(path), NAMING_LINES) for key in row))

    def read(wanted: Sequence[str], size: int) -> Iterator[Batch]:
        rows = _rows(path)
        while part := list(islice(rows, size)):
            yield {name: [row.get(name) for row in part] for name in wanted}

    return names, None, read


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), 1):
                if line.strip():
                    yield _row(path, number, line)
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from error


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MAX:
        raise UnreachableError(f"line {number} of {path} has more than {LINE_BYTES_MAX} bytes", hint=_HINT)
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreachableError(f"line {number} of {path} is no JSON object: {error}", hint=_HINT) from error
