"""CSV by pyarrow, with the text of each value read by one rule that does not depend on its neighbours.

pyarrow's own inference types a column by its first block, so that the same value could read differently in a longer file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import csv

from guardian.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from guardian.adapters.tables.table import Batch, Read

NULLS: Final = ("", "NA", "NaN", "nan", "null", "NULL")  # Unquoted; a quoted "NA" is text.
BLOCK_BYTES: Final = 1 << 20

_NUMBER: Final = re.compile(r"-?\d{1,17}(\.\d+)?(e[+-]\d+)?", re.ASCII)
_WORDS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_HINT: Final = "give UTF-8 text with commas, a header, and as many values in each row"


def value_of(text: str | None) -> str | int | float | bool | None:
    """Return the value that a text says: a boolean, a number in its shortest form, or the text itself.

    What may be a code or an id stays as it is (007, 1.10, 12e4), and who expects a number can still read one.

    >>> [value_of(text) for text in ("1", "1.0", "2e-7", "007", "1.10", "12e4", "True", "a", None)]
    [1, 1.0, 2e-07, '007', '1.10', '12e4', True, 'a', None]
    """
    if text is None or text in _WORDS:
        return None if text is None else _WORDS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    number = float(text) if match[1] or match[2] else int(text)
    return number if match[2] or repr(number) == text else text


def open_csv(path: Path) -> tuple[tuple[str, ...], int | None, Read]:
    """Return a file's columns, None (the rows are not counted), and how to read it. Raises UnreachableError."""
    try:
        with csv.open_csv(path) as reader:
            names = tuple(reader.schema.names)
    except (pa.ArrowException, OSError) as error:
        raise UnreachableError(f"{path} cannot be read as CSV: {error}", hint=_HINT) from error

    def read(wanted: Sequence[str], size: int) -> Iterator[Batch]:
        convert = csv.ConvertOptions(
            include_columns=list(wanted),
            column_types=dict.fromkeys(wanted, pa.string()),
            null_values=list(NULLS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        options = {
            "read_options": csv.ReadOptions(block_size=BLOCK_BYTES),
            "parse_options": csv.ParseOptions(newlines_in_values=True),
            "convert_options": convert,
        }
        try:
            with csv.open_csv(path, **options) as reader:
                for block in reader:
                    for start in range(0, block.num_rows, size):
                        part = block.slice(start, size)
                        yield {name: _typed(part.column(name).to_pylist()) for name in wanted}
        except (pa.ArrowException, OSError) as error:
            raise UnreachableError(f"{path} cannot be read as CSV: {error}", hint=_HINT) from error

    return names, None, read


def _typed(texts: list[str | None]) -> list[str | int | float | bool | None]:
    known = {text: value_of(text) for text in set(texts)}
    return [known[text] for text in texts]
