"""Parquet by pyarrow, row batch by row batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from guardian.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from guardian.adapters.tables.table import Batch, Read

_HINT: Final = "give a Parquet file with columns of text, numbers, booleans and timestamps"


def open_parquet(path: Path) -> tuple[tuple[str, ...], int | None, Read]:
    """Return a file's columns, its number of rows, and how to read it. Raises UnreachableError."""
    try:
        with pq.ParquetFile(path) as file:
            names, rows = tuple(file.schema_arrow.names), int(file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise UnreachableError(f"{path} cannot be read as Parquet: {error}", hint=_HINT) from error

    def read(wanted: Sequence[str], size: int) -> Iterator[Batch]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=size, columns=list(wanted)):
                    yield {name: _values(path, name, batch.column(name)) for name in wanted}
        except (pa.ArrowException, OSError) as error:
            raise UnreachableError(f"{path} cannot be read as Parquet: {error}", hint=_HINT) from error

    return names, rows, read


def _values(path: Path, name: str, column: Any) -> list[Any]:
    """Return a column's plain values."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = getattr(kind, "tz", None)  # Of a timestamp with a zone the number says UTC already.
        milliseconds = pc.cast(column, pa.timestamp("ms", zone), safe=False)  # Safe would refuse to cut off nanoseconds.
        return list(pc.cast(milliseconds, pa.int64()).to_pylist())
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    if pa.types.is_floating(column.type):
        return list(pc.if_else(pc.is_nan(column), None, column).to_pylist())
    plain = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer, pa.types.is_boolean)
    if not (pa.types.is_null(kind) or any(is_one(kind) for is_one in plain)):
        raise UnreachableError(f"column {name} of {path} is of type {kind}, which is no single value", hint=_HINT)
    return list(column.to_pylist())
