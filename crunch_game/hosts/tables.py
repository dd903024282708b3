"""What a stranger's Arrow table is when it is written out, known before it is: a few bytes can say gigabytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["LARGEST", "check", "refuse_packed"]

LARGEST: Final = 64 * 1024 * 1024
"""Bytes that a table may have when it is written out."""

_V5: Final = 4
_BATCH_OF_DICTIONARY, _HEADER, _COMPRESSION = 1, 2, 3


def check(table: Any, most_cells: int) -> None:
    """Refuse a table of too many cells, those in its lists counted too, or of texts that are too long together.

    Raises:
        ValueError: It is one, or has columns that cannot be counted.
        pyarrow.ArrowException: It is damaged. Arrow trusts what it reads, and a forged table could end this process.
    """
    from pyarrow import types

    table.validate(full=True)
    cells = size = 0
    for column in table.itercolumns():
        if types.is_primitive(column.type):  # as nearly all of a wide one
            cells += len(column)
            continue
        for chunk in column.chunks:
            for part in _parts(chunk):
                cells += len(part)
                size += _named(part)
    if cells > most_cells:
        raise ValueError(f"it has {cells} cells; at most {most_cells} are read")
    if size > LARGEST:
        raise ValueError(f"its texts are {size >> 20} MiB when each is written out; at most {LARGEST >> 20} are read")


def refuse_packed(stream: Any) -> None:
    """Refuse a stream whose batches are compressed: nobody knows what comes out.

    Raises:
        ValueError: It is one.
        pyarrow.ArrowException: It is damaged.
    """
    from pyarrow import ipc

    for message in ipc.MessageReader.open_stream(stream):
        if message.metadata_version != _V5:  # older ones said it elsewhere
            raise ValueError("it is of an old version of Arrow")
        if message.type != "schema" and _is_compressed(message.metadata.to_pybytes(), message.type):
            raise ValueError("it is compressed, which no table is that is sent as a DataFrame")


def _is_compressed(data: bytes, kind: str) -> bool:
    """Whether a message says so, which Arrow has found to be a flatbuffer."""
    batch = _follow(data, _field(data, _follow(data, 0), _HEADER))
    if kind == "dictionary":
        batch = _follow(data, _field(data, batch, _BATCH_OF_DICTIONARY))
    return _field(data, batch, _COMPRESSION) is not None


def _follow(data: bytes, place: int | None) -> int:
    """Where a table stands, of which it is said at this place."""
    if place is None:
        raise ValueError("it has a message without content")
    return place + int(_UINT.unpack_from(data, place)[0])


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table stands, if the table has it."""
    fields = table - _INT.unpack_from(data, table)[0]
    slot = 4 + 2 * number
    if slot >= _USHORT.unpack_from(data, fields)[0]:
        return None
    offset = int(_USHORT.unpack_from(data, fields + slot)[0])
    return table + offset if offset else None


_INT, _UINT, _USHORT = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<H")


def _parts(array: Any) -> Iterator[Any]:
    """An array, and all that is in it."""
    from pyarrow import types

    yield array
    kind = array.type
    if types.is_primitive(kind) or _is_text(kind) or types.is_null(kind) or types.is_decimal(kind):
        return
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_map(kind):
        yield from _parts(array.values)
    elif types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _parts(array.field(number))
    elif types.is_dictionary(kind):
        yield from _parts(array.dictionary)
    elif hasattr(array, "storage"):
        yield from _parts(array.storage)
    elif not types.is_fixed_size_binary(kind):
        # Views, runs and unions name the same bytes many times.
        raise ValueError(f"a column of {kind} is not read; use numbers, str, lists or dicts")


def _named(array: Any) -> int:
    """Bytes of what a dictionary's numbers name, which are sent once however many name them."""
    from pyarrow import compute, types

    if not types.is_dictionary(array.type):
        return 0
    values = array.dictionary
    if _is_text(values.type):
        return compute.sum(compute.binary_length(values).take(array.indices)).as_py() or 0
    return len(array) * int(values.type.bit_width) // 8


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kinds = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(is_kind(kind) for is_kind in kinds)
