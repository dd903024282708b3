"""What a forged Parquet claims is believed no further than its pages go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from crunch_game.crunchdao.messages import Variant, VariantType
from crunch_game.crunchdao.variants import decode
from crunch_game.hosts.wire import Undecodable

HEAD = b"\x15\x00\x15\xce\x0c\x15\xce\x0c"
"""A page of values, of 807 bytes unpacked and packed: field by field, what follows is a number, and the number."""


def file(column: Any, **options: Any) -> bytes:
    sink = pyarrow.BufferOutputStream()
    options = {"compression": None, "use_dictionary": False, "write_statistics": False} | options
    parquet.write_table(pyarrow.table({"a": column}), sink, **options)
    return bytes(sink.getvalue())


def refusal(data: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(Variant(type=VariantType.PARQUET, value=data))
    return str(caught.value).removeprefix("a value of type PARQUET could not be read: ")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"\x15\x00\x15\xcf\x0c\x15\xce\x0c", "a page has another size than is claimed"),
        (b"\x15\x00\x15\xce\x0c\x15\xcf\x0c", "a page has another size than is claimed"),
        (b"\x15\x00\x15\xce\x0c\x15\xff\x7f", "a page has another size than is claimed"),
        (b"\x15\x02\x15\xce\x0c\x15\xce\x0c", "the head of a page has a field of kind 9"),  # of no values
        (b"\x15\x00\x00", "the head of a page is not complete"),
        (b"\x18\xff\xff\xff\x7f", "the head of a page is damaged"),
        (b"\x19\x00\x15\xce\x0c\x15\xce\x0c", "the head of a page has a field of kind 9"),
        (b"\x15\x00\x05\x02\x02\x05\x02\x02", "the head of a page has a field twice"),
        (b"\x15" + b"\xff" * 10, "the head of a page has an endless number"),
    ],
)
def test_a_head_that_cannot_be_is_refused(head, why):
    data = file(np.arange(100.0))

    assert data.count(HEAD) == 1
    assert refusal(data[:4] + head + data[4 + len(head) :]) == why


def test_a_page_that_claims_to_be_huge_is_refused_before_it_is_unpacked():
    data = file(["x" * 2**20], compression="zstd")
    true, forged = (b"\x15\x00\x15" + size for size in (b"\x94\x80\x80\x01", b"\xfe\xff\xff\x7f"))

    assert data.count(true) == 1
    assert refusal(data.replace(true, forged)) == "it would take more than 64 MiB"


def test_texts_that_share_their_beginnings_are_refused():
    data = file(["x" * 2000 + str(number) for number in range(100)], column_encoding={"a": "DELTA_BYTE_ARRAY"})

    assert "DeltaByteArray" in refusal(data)


def test_many_pages_and_many_groups_of_them_are_read():
    column = np.arange(5000)

    for options in (
        {"data_page_size": 64, "write_batch_size": 8},
        {"row_group_size": 10},
        {"data_page_version": "2.0"},
    ):
        data = file(column, write_statistics=True, **options)
        assert decode(Variant(type=VariantType.PARQUET, value=data))["a"].tolist() == column.tolist()
