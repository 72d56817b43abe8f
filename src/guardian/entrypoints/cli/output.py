"""Printing: rows on stdout as a table, JSON or JSON lines; words on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from guardian.entrypoints.cli.session import Format, session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CELL_CHARACTERS_MAX: Final = 60  # Of a table's cell; JSON is never cut.


def say(message: str) -> None:
    """Write words for a person, on stderr."""
    print(message, file=sys.stderr)  # noqa: T201


def emit(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output: Format | None = None) -> None:
    """Print rows, lazily where the format allows it.

    Args:
        rows: JSON values; JSON shows all of each.
        columns: What a table shows, in order; `window.end` reaches into an object.
        output: Overrides the global `-o`.
    """
    with ended_by_reader():
        match output or session().output or Format.TABLE:
            case Format.JSON:
                _emit_json(rows)
            case Format.JSONL:
                for row in rows:
                    sys.stdout.write(_encode(row) + "\n")
            case Format.TABLE:
                _emit_table(rows, columns)
        sys.stdout.flush()


@contextmanager
def ended_by_reader() -> Iterator[None]:
    """End the process quietly when whoever reads stdout has gone: `guardian get verdicts | head` is no failure."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _encode(row: Mapping[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(row).decode()


def _emit_json(rows: Iterable[Mapping[str, Any]]) -> None:
    sys.stdout.write("[")
    separator = "\n"
    for row in rows:
        sys.stdout.write(separator + _encode(row))
        separator = ",\n"
    sys.stdout.write("]\n" if separator == "\n" else "\n]\n")


def _emit_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    lines = [[cell(reach(row, column)) for column in columns] for row in rows]
    heads = [column.upper().replace("_", " ") for column in columns]
    if sys.stdout.isatty():
        _draw(heads, lines)
        return
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _draw(heads: list[str], lines: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for line in lines:
        table.add_row(*map(Text, line))  # Text: brackets in data are no markup.
    Console().print(table)


def reach(row: Mapping[str, Any], column: str) -> Any:
    """Return the value under a dotted name; None where there is none.

    >>> reach({"window": {"end": "2016"}}, "window.end"), reach({"window": None}, "window.end")
    ('2016', None)
    """
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def cell(value: Any) -> str:
    """Write a value as a table's cell: one line, bounded, without control characters.

    >>> cell({"by": "RAC1P"}), cell(0.123456789), cell(None), cell([0.1, 0.25]), cell("2016-01-01T00:00:00.000Z")
    ('by=RAC1P', '0.123457', '', '[0.1, 0.25]', '2016-01-01T00:00:00Z')
    """
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:.6g}"
        case list():
            text = f"[{', '.join(map(cell, value))}]"
        case dict():
            text = " ".join(f"{name}={cell(inner)}" for name, inner in value.items())
        case _:
            text = str(value)
            text = text[:-5] + "Z" if text.endswith(".000Z") else text
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= CELL_CHARACTERS_MAX else shown[: CELL_CHARACTERS_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"
