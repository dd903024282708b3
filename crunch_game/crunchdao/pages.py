"""What reading a stranger's Parquet takes, by the heads of its pages: Arrow believes them, whatever they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["check"]

_LONGEST_HEAD: Final = 1 << 16
_COST_OF_CHUNK: Final = 1024
_COST_OF_FIELD: Final = 256
"""What a field of a head counts, because it takes as long to read as so many bytes of a page."""

_KIND, _UNPACKED, _PACKED, _VALUES = 1, 2, 3, 1
_BODY: Final = {0: 5, 3: 8}
"""The field that tells of the values, by the kinds of pages that have some."""


def check(file: Any, data: bytes, most_cells: int, most_bytes: int) -> list[str]:
    """The columns of texts, of a file that takes no more than that as long as a text that is repeated is there once.

    Args:
        file: The opened `pyarrow.parquet.ParquetFile`.
        data: Its bytes.
        most_cells: Cells that it may have, those in its lists counted too.
        most_bytes: Bytes that its pages may have together, unpacked.

    Raises:
        ValueError: It would take more, or is damaged.
    """
    metadata, columns = file.metadata, [file.schema.column(number) for number in range(len(file.schema))]
    _bound(metadata.num_rows * max(1, metadata.num_columns), most_cells)
    cells = size = 0
    for chunk, column in _chunks(metadata, columns):
        cells += chunk.num_values * max(1, column.max_repetition_level)
        _bound(cells, most_cells)
        for each in _sizes(memoryview(data), chunk, column):
            size += each
            if size > most_bytes:
                raise ValueError(f"it would take more than {most_bytes >> 20} MiB")
    texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
    if any(column.logical_type.type == "DECIMAL" for column in texts):
        raise ValueError("it has decimals of any length; use those of a fixed one")
    return [column.path for column in texts]


def _bound(cells: int, most: int) -> None:
    if cells > most:
        raise ValueError(f"it claims to have {cells} cells; at most {most} are read")


def _chunks(metadata: Any, columns: list[Any]) -> Iterator[tuple[Any, Any]]:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place, column in enumerate(columns):
            yield group.column(place), column


def _sizes(data: memoryview, chunk: Any, column: Any) -> Iterator[int]:
    """What a chunk takes, page by page, up to as many values as it claims to have: Arrow reads no further."""
    place, left = chunk.data_page_offset, chunk.num_values
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < place:
        place = chunk.dictionary_page_offset
    width = column.length if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0
    yield _COST_OF_CHUNK + left * width
    while left:
        head, length = _head(data, place)
        body = head.get(_BODY.get(head[_KIND]))
        values = body[_VALUES] if body else 0
        if not (0 <= values <= left and head[_UNPACKED] >= 0 and head[_PACKED] >= 0):
            raise ValueError("a page has another size than is claimed")
        yield head[_UNPACKED] + _fields(head) * _COST_OF_FIELD
        left -= values
        place += length + head[_PACKED]


def _head(data: memoryview, place: int) -> tuple[dict[Any, Any], int]:
    """The head of the page at this place, and its length."""
    if place < 0:
        raise ValueError("a page is claimed to be where none can be")
    try:
        head, length = _struct(data[place : place + _LONGEST_HEAD], 0)
    except (IndexError, RecursionError):
        raise ValueError("the head of a page is damaged") from None
    if not {_KIND, _UNPACKED, _PACKED} <= head.keys():
        raise ValueError("the head of a page is not complete")
    return head, length


def _fields(struct: dict[Any, Any]) -> int:
    return 1 + sum(_fields(value) if isinstance(value, dict) else 1 for value in struct.values())


def _struct(data: memoryview, place: int) -> tuple[dict[Any, Any], int]:
    """The fields of a struct in Thrift's compact protocol by their numbers, and where it ends."""
    fields: dict[Any, Any] = {}
    number = 0
    while data[place]:
        step, kind = divmod(data[place], 16)
        place += 1
        if step:
            number += step
        else:
            number, place = _int(data, place)
        value: Any = None
        if kind in (4, 5, 6):
            value, place = _int(data, place)
        elif kind == 8:  # the least or the largest value of the page
            length, place = _varint(data, place)
            place += length
        elif kind == 12:
            value, place = _struct(data, place)
        elif kind not in (1, 2):  # true and false, which have no bytes
            raise ValueError(f"the head of a page has a field of kind {kind}")
        if number in fields:
            raise ValueError("the head of a page has a field twice")
        fields[number] = value
    return fields, place + 1


def _int(data: memoryview, place: int) -> tuple[int, int]:
    value, place = _varint(data, place)
    return value >> 1 ^ -(value & 1), place


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[place] & 127) << shift
        place += 1
        if data[place - 1] < 128:
            return value, place
    raise ValueError("the head of a page has an endless number")
