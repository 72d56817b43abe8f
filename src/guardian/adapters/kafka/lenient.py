"""Records with header names that are not UTF-8: Kafka takes them from anyone, and aiokafka's parser stops at the first for good.

What was fetched is parsed in C, as ever, up to such a record. From its batch on it is parsed in Python, where a name's bytes
that are not UTF-8 become lone surrogates (PEP 383), of which the bytes can be had back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

if TYPE_CHECKING:
    from collections.abc import Iterator

_Parser: Final[Any] = _DefaultRecordBatchPy
_Batches: Final[Any] = MemoryRecords
_LENGTH: Final = slice(8, 12)  # Of a batch: how many bytes follow this field.


class Kept(_Batches):  # type: ignore[misc]
    """aiokafka's batches of one answer of the broker, which also keep the bytes that they are parsed from."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


def keep_bytes() -> None:
    """Have all that is fetched in this process keep its bytes, for `leniently`. It costs nothing: they are not copied."""
    cast("Any", fetcher).MemoryRecords = Kept


def leniently(parts: Any) -> Iterator[Any]:
    """Yield the records of aiokafka's PartitionRecords, whatever the names of their headers."""
    try:
        yield from parts._unpack_records()
    except UnicodeDecodeError:
        parts._records = _Rest(parts._records.data, parts.next_fetch_offset)
        yield from parts._unpack_records()


class _Rest:
    """The batches of an answer that reach `offset`, with what aiokafka asks of its own.

    Those before it were dealt with, aborted transactions among them; to see them again would move the position back.
    """

    def __init__(self, data: bytes, offset: int) -> None:
        self._batches = [batch for batch in _lenient_batches(data) if batch.next_offset > offset]

    def has_next(self) -> bool:
        return bool(self._batches)

    def next_batch(self) -> Any:
        return self._batches.pop(0)


def _lenient_batches(data: bytes) -> Iterator[Any]:
    batches, view = _Batches(data), memoryview(data)
    while batches.has_next():
        batch, size = batches.next_batch(), _LENGTH.stop + int.from_bytes(view[_LENGTH])
        yield _Batch(view[:size]) if isinstance(batch, DefaultRecordBatch) else batch  # Those of old have no headers.
        view = view[size:]


class _Batch(_Parser):  # type: ignore[misc]
    """A batch that is parsed in Python."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Bytes(self._buffer)


class _Bytes(bytearray):
    """Bytes of which every slice can be decoded: the parser decodes names, and nothing else."""

    def __getitem__(self, at: Any) -> Any:
        found: Any = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "surrogateescape")
