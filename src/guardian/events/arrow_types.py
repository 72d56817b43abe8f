"""Which types columns of an Arrow table may have: those that all functions of Arrow used on them know.

Some of the others end the process where a row is taken or a struct is parted, so this looks at the schema first. Takes
fields of a schema, gives the first that cannot be read. Never: looks at values, or at what columns mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable

_EXTENSION: Final = b"ARROW:extension:name"  # In the metadata of a field whose extension type this process does not know.
_CHARS_MAX: Final = 100

_is = pa.types
_SIZED: Final = (_is.is_integer, _is.is_floating, _is.is_decimal, _is.is_date, _is.is_time, _is.is_timestamp, _is.is_duration)
_BYTES: Final = (_is.is_string, _is.is_large_string, _is.is_binary, _is.is_large_binary)
_BARE: Final = (*_SIZED, *_BYTES, _is.is_boolean, _is.is_null, _is.is_string_view)  # Views of texts are made texts at once.


def unreadable(place: str, fields: Iterable[Any]) -> str | None:
    """Return which column, or field of a struct, is of a type that cannot be read; None where all can.

    >>> unreadable("", pa.schema([("a", pa.int8()), ("b", pa.struct([("c", pa.binary_view())]))]))
    'The column b.c is of type binary_view, which cannot be read.'
    """
    for field in fields:
        if pa.types.is_struct(field.type) and not _extension(field):
            found = unreadable(f"{place}{field.name}.", field.type)
        else:
            found = None if _can_be_read(field) else _said(f"{place}{field.name}", field)
        if found:
            return found
    return None


def _said(name: str, field: Any) -> str:
    kind = _extension(field) or str(field.type)
    return f"The column {name:.{_CHARS_MAX}} is of type {kind:.{_CHARS_MAX}}, which cannot be read."


def _extension(field: Any) -> str:
    """Return the name of a field's extension type, whether or not this process knows it; else an empty text."""
    if isinstance(field.type, pa.BaseExtensionType):
        return f"extension {field.type.extension_name}"
    name = (field.metadata or {}).get(_EXTENSION)
    return "" if name is None else f"extension {name.decode('utf-8', 'replace')}"


def _can_be_read(field: Any) -> bool:
    kind = field.type
    if _extension(field):
        return False
    if pa.types.is_dictionary(kind):
        return _is_one_of(kind.value_type, _BARE)
    return _is_one_of(kind, _BARE) or _is_list(kind)


def _is_one_of(kind: Any, tests: Iterable[Any]) -> bool:
    return any(test(kind) for test in tests)


def _is_list(kind: Any) -> bool:
    """Whether a type is a list that costs no more to take than the record has bytes.

    Arrow numbers the items of the lists it takes: what has no bytes of its own could be any number of items.
    """
    if pa.types.is_fixed_size_list(kind) and not kind.list_size:
        return False
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_item(kind.value_field)
    return bool(pa.types.is_map(kind)) and _is_item(kind.key_field) and _is_item(kind.item_field)


def _is_item(field: Any) -> bool:
    kind = field.type
    if _extension(field):
        return False
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(map(_is_item, kind))
    return _is_one_of(kind, (*_SIZED, *_BYTES)) or _is_list(kind)
