"""Opening a table by its path, and what every format gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from guardian.errors import NotFoundError, UnreachableError, UsageError
from guardian.files.document import choice_hint

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

BATCH_ROWS: Final = 5_000
SUFFIXES: Final = (".parquet", ".pq", ".csv", ".jsonl", ".ndjson", ".json")

Batch = dict[str, list[Any]]
Read = Callable[[Sequence[str], int], Iterator[Batch]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is open for reading, as often as wanted.

    Attributes:
        path: The file.
        names: Its columns.
        rows: How many rows it has, where the format says so without reading it.
        read: Batches of at most so many rows of the named columns; `batches` checks the names first.
    """

    path: Path
    names: tuple[str, ...]
    rows: int | None
    read: Read

    def batches(self, names: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Return the named columns, at most `rows` rows at a time: str, int, float, bool, or None where missing.

        Timestamps are UTC milliseconds; those without a zone are taken as UTC. Raises NotFoundError for a column that is not
        there, UnreachableError where the file cannot be read after all.
        """
        wanted = tuple(dict.fromkeys(names))
        for name in wanted:
            if name not in self.names:
                hint = choice_hint(name, self.names, none="the table has no columns")
                raise NotFoundError(f"{self.path} has no column {name}", hint=hint)
        return self.read(wanted, rows)


def open_table(path: Path) -> Table:
    """Open a table by its suffix, one of SUFFIXES.

    Raises UnreachableError when the file is not there, cannot be read or is no such table; UsageError for another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} is no table that can be read", hint=f"name a file that ends in one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UnreachableError(f"there is no file {path}", hint="mend the path; it is taken from the current directory")
    if suffix in (".parquet", ".pq"):
        from guardian.adapters.tables.parquet import open_parquet

        names, rows, read = open_parquet(path)
    elif suffix == ".csv":
        from guardian.adapters.tables.csv_text import open_csv

        names, rows, read = open_csv(path)
    else:
        from guardian.adapters.tables.json_lines import open_json_lines

        names, rows, read = open_json_lines(path)
    return Table(path, names, rows, read)


def read_columns(path: Path, names: Sequence[str]) -> dict[str, list[Any] | NDArray[np.float64]]:
    """Return whole columns: as float64 with NaN where every value is a float or missing, else as a list of raw values."""
    whole: Batch = {name: [] for name in names}
    for batch in open_table(path).batches(names):
        for name, values in batch.items():
            whole[name] += values
    return {name: _compact(values) for name, values in whole.items()}


def _compact(values: list[Any]) -> list[Any] | NDArray[np.float64]:
    import numpy as np

    kinds = set(map(type, values))
    return np.array(values, np.float64) if float in kinds and kinds <= {float, type(None)} else values
