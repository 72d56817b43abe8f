"""Arrow IPC streams to tables, checked so far that nothing read of them later can fail or grow beyond the record's own size.

Takes the bytes of one record, which are nobody's promise. Gives record batches with flat columns of distinct names, valid
throughout (offsets, indexes, UTF-8), or says what is wrong. Never: looks at what the columns mean.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from guardian.events.arrow_columns import is_text
from guardian.events.arrow_types import unreadable
from guardian.events.dead_letter import Problem
from guardian.events.envelope import EVENTS_FREE, RECORD_BYTES_MAX, RECORD_EVENTS_MAX, ROW_BYTES_MIN
from guardian.events.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER, _COMPRESSION, _DATA = 2, 3, 1  # Fields of Message, RecordBatch and DictionaryBatch in Arrow's Message.fbs.


class _RefusedError(Exception):
    """What is wrong with a stream."""

    def __init__(self, detail: str, reason: Reason = Reason.NOT_ARROW) -> None:
        self.problem = Problem(reason, "$", detail)


def read_stream(data: bytes) -> list[Any] | Problem:
    """Return the record batches of a stream without the empty ones, or what is wrong with it.

    >>> read_stream(b"no stream").reason
    <Reason.NOT_ARROW: 'not-arrow'>
    """
    try:
        return list(_batches(data))
    except _RefusedError as refused:
        return refused.problem
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        return Problem(Reason.NOT_ARROW, "$", _broken(error))


def joined(batches: list[Any]) -> list[Any]:
    """Return batches of one schema as one, if that can be: many small ones cost more, each its columns' fixed costs."""
    if len(batches) == 1:
        return batches
    try:
        return list(pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches())
    except pa.ArrowException:  # Dictionaries that hold nulls, and the like.
        return batches


def _broken(error: Exception) -> str:
    said = " ".join(str(error).split())[:200].rstrip(".")
    return f"It is no Arrow IPC stream, or a broken one: {said}."


def _batches(data: bytes) -> Iterator[Any]:
    if len(data) > RECORD_BYTES_MAX:
        raise _RefusedError(f"A record has at most {RECORD_BYTES_MAX} bytes, this one {len(data)}.", Reason.TOO_LARGE)
    if any(map(_is_compressed, pa.ipc.MessageReader.open_stream(data))):
        raise _RefusedError("Buffers must not be compressed: let the log compress its records.")
    reader = _opened(data)
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        _check_rows(rows, len(data))
        batch.validate(full=True)
        shared = [column for whole in batch.columns for column in _sharing(whole)]
        if sum(map(_at_most, shared)) > RECORD_BYTES_MAX and sum(map(_grown, shared)) > RECORD_BYTES_MAX:
            raise _RefusedError(f"Written out, its texts have more than {RECORD_BYTES_MAX} bytes.", Reason.TOO_LARGE)
        if batch.num_rows:
            yield _without_views(batch)


def _opened(data: bytes) -> Any:
    """Return a reader of a stream whose columns have names of their own, and types that can be read."""
    try:
        reader = pa.ipc.open_stream(data)
    except Exception as error:  # An extension type's own code reads what the stream says of it, and may raise anything.
        raise _RefusedError(_broken(error)) from error
    _check_names("", reader.schema)
    problem = unreadable("", reader.schema)
    if problem:
        raise _RefusedError(problem)
    return reader


def _check_rows(rows: int, size: int) -> None:
    """Refuse more rows than a record may have, or than its bytes can say anything of."""
    if rows > RECORD_EVENTS_MAX:
        raise _RefusedError(f"A record holds at most {RECORD_EVENTS_MAX} events.", Reason.TOO_LARGE)
    if rows > max(EVENTS_FREE, size // ROW_BYTES_MIN):
        detail = f"{rows} rows in {size} bytes: beyond {EVENTS_FREE} rows, a row with an id has at least {ROW_BYTES_MIN} bytes."
        raise _RefusedError(detail, Reason.TOO_LARGE)


def _without_views(batch: Any) -> Any:
    """Return a batch whose texts are in layouts that all functions of Arrow know."""
    columns = list(map(_without_view, batch.columns))
    fields = [pa.field(name, column.type) for name, column in zip(batch.schema.names, columns, strict=True)]
    schema = pa.schema(fields, metadata=batch.schema.metadata)
    return batch if schema.types == batch.schema.types else pa.record_batch(columns, schema=schema)


def _without_view(column: Any) -> Any:
    kind = column.type
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(kind) and pa.types.is_string_view(kind.value_type):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.large_string()))
    if pa.types.is_struct(kind) and kind.num_fields:
        fields = list(map(_without_view, column.flatten()))
        return pa.StructArray.from_arrays(fields, names=[field.name for field in kind])
    return column


def _check_names(place: str, fields: Any) -> None:
    """Refuse columns, or fields of a struct, that have no name of their own."""
    names = [field.name for field in fields]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise _RefusedError(f"The column {place}{twice} is there twice.")
    for field in fields:
        if pa.types.is_struct(field.type):
            _check_names(f"{place}{field.name}.", field.type)


def _sharing(column: Any) -> Iterator[Any]:
    """Yield the columns in which rows share texts, and which grow when each row has its own; no other kind can."""
    kind = column.type
    if pa.types.is_struct(kind):
        for field in column.flatten():
            yield from _sharing(field)
    elif pa.types.is_string_view(kind) or (pa.types.is_dictionary(kind) and _is_shared(kind.value_type)):
        yield column


def _is_shared(kind: Any) -> bool:
    return is_text(kind) or bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _at_most(column: Any) -> int:
    """Return a bound of what _grown returns, which costs nothing."""
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    return int(texts.nbytes * len(column))


def _grown(column: Any) -> int:
    """Return the bytes of a column's texts, each row having its own."""
    if not pa.types.is_dictionary(column.type):
        return int(_lengths(column).sum())
    used = column.indices.drop_null().to_numpy(zero_copy_only=False)
    return int(_lengths(column.dictionary)[used].sum())


def _lengths(texts: Any) -> Any:
    """Return the bytes of each text, shape (n,); 0 of null."""
    valid, layout = texts.is_valid().to_numpy(zero_copy_only=False), texts.buffers()[1]
    if pa.types.is_string_view(texts.type):  # A view is 16 bytes, the first four of which are the length.
        found = np.frombuffer(layout, np.int32)[texts.offset * 4 :][: len(texts) * 4 : 4].astype(np.int64)
    else:
        width = np.int64 if pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type) else np.int32
        ends = np.frombuffer(layout, width)[texts.offset :][: len(texts) + 1].astype(np.int64)
        found = ends[1:] - ends[:-1]
    return np.where(valid, found, 0) if len(found) else np.zeros(len(texts), np.int64)


def _is_compressed(message: Any) -> bool:
    """Whether a message of a stream has compressed buffers, which could hold thousands of times what the record does.

    pyarrow does not say so before it decompresses, so this reads the message's flatbuffer.
    """
    data = bytes(message.metadata)
    (at,) = struct.unpack_from("<i", data)
    header = _table(data, at, _HEADER)
    if message.type == "dictionary":
        header = header and _table(data, header, _DATA)
    elif message.type != "record batch":
        return False
    return bool(header and _table(data, header, _COMPRESSION))


def _table(data: bytes, table: int, field: int) -> int:
    """Return where the table begins that a field of the flatbuffer table at `table` refers to; 0 where it is not set."""
    (back,) = struct.unpack_from("<i", data, table)
    fields = table - back
    (size,) = struct.unpack_from("<H", data, fields)
    slot = 4 + 2 * field
    if slot >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, fields + slot)
    if not offset:
        return 0
    (ahead,) = struct.unpack_from("<I", data, table + offset)
    return int(table + offset + ahead)
