"""Values come out of the wire as they went in; bytes that are none are refused, never followed."""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import struct
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
import pyarrow
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from crunch_game.encoding import SentTable, Undecodable, Unsendable, decode, decode_answer, encode, sent_table
from crunch_game.encoding import _values as wire

text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats()
plain = st.recursive(
    st.none() | st.booleans() | numbers | text | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(text | st.integers(-(2**63), 2**64 - 1), inner),
    max_leaves=20,
)
dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    npst.unicode_string_dtypes(endianness="?"),
    npst.byte_string_dtypes(),
    npst.datetime64_dtypes(endianness="?"),
    npst.timedelta64_dtypes(endianness="?"),
)
arrays = dtypes.flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0)))


def same(a: Any, b: Any) -> bool:
    """Equal, of one type, and NaN is NaN."""
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(map(same, a.values(), b.values()))
    return type(a) is type(b) and (a == b or (a != a and b != b))


# Values


@given(plain)
def test_plain_values_come_out_as_they_went_in(value):
    assert same(decode(encode(value)), value)


@given(arrays)
def test_arrays_come_out_as_they_went_in(array):
    read = decode(encode(array))

    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes()
    assert read.flags.writeable


@given(npst.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_arrays_of_any_layout_come_out_in_their_order(array):
    for view in (array.T, array[::2], array[:, ::-1], np.asfortranarray(array)):
        np.testing.assert_array_equal(decode(encode(view)), view)


@given(plain, arrays)
def test_arrays_may_stand_anywhere(value, array):
    left, [right] = decode(encode({"a": value, "b": [array]})).values()

    assert same(left, value)
    assert right.tobytes() == array.tobytes()


columns = st.sampled_from(
    [
        [1.5, math.nan, -math.inf],
        [1, 2, 3],
        [True, False, True],
        ["a", "b", ""],
        pd.to_datetime(["2024-01-01", "2024-01-02", None]),
        pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"], utc=True),
        pd.to_timedelta([1, 2, 3], unit="s"),
        pd.Categorical(["x", "y", "x"]),
        np.array([1, 2, 3], dtype=np.float32),
        np.array([1, 2, 3], dtype=np.uint8),
        pd.array([1, None, 3], dtype="Int64"),
    ]
)
indexes = st.sampled_from(
    [
        pd.RangeIndex(3),
        pd.Index(["a", "b", "c"], name="asset"),
        pd.date_range("2024-01-01", periods=3, tz="UTC"),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["x", "y"]),
    ]
)


@settings(deadline=None)
@given(st.dictionaries(text.filter(bool), columns, max_size=4), indexes)
def test_tables_come_out_as_they_went_in(data, index):
    table = pd.DataFrame(data, index=range(3)).set_axis(index)

    pd.testing.assert_frame_equal(decode(encode(table)), table, check_freq=False, check_column_type=False)


def test_a_table_that_came_out_can_be_changed():
    read = decode(encode(pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]})))

    read.loc[0, "a"] = 5.0
    read["b"] += 1

    assert read.to_dict("list") == {"a": [5.0, 2.0], "b": [2, 3]}


def test_a_long_empty_column_comes_out():
    assert decode(encode(pd.DataFrame({"a": [None] * 100_000}))).shape == (100_000, 1)


class Side(enum.Enum):
    UP = "up"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Normal:
    mean: float


class Density(pydantic.BaseModel):
    normal: Normal
    when: datetime


class Text(str):
    __slots__ = ()


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset("a"), ["a"]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aa"), {"a": 2}),
        (Text("up"), "up"),
        (bytearray(b"a"), b"a"),
        (Side.UP, "up"),
        (Level.LOW, 1),
        (Normal(0.5), {"mean": 0.5}),
        (Density(normal=Normal(0.5), when=datetime(2024, 1, 1, tzinfo=UTC)),
         {"normal": {"mean": 0.5}, "when": datetime(2024, 1, 1, tzinfo=UTC)}),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(2024, 1, 1), "2024-01-01T00:00:00"),  # noqa: DTZ001
        (date(2024, 1, 1), "2024-01-01"),
        (timedelta(seconds=90), "PT90S"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(-3), -3),
        (np.True_, True),
        (np.str_("a"), "a"),
        (np.datetime64("2024-01-01"), "2024-01-01"),
        ({"a": np.int8(1)}, {"a": 1}),
        (np.array([1, "a", None], dtype=object), [1, "a", None]),
        (pd.Series(["a", "b"]), ["a", "b"]),
    ],
)  # fmt: skip
def test_other_values_arrive_as_plain_ones(value, arrives):
    assert same(decode(encode(value)), arrives)


def test_a_series_and_an_index_arrive_as_arrays():
    np.testing.assert_array_equal(decode(encode(pd.Series([1.0, 2.0], index=["a", "b"]))), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(decode(encode(pd.Index([1, 2]))), np.array([1, 2]))


INSTEAD = "use numbers, str, list or dict instead"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), f"a object cannot be sent; {INSTEAD}"),
        (lambda: 0, f"a function cannot be sent; {INSTEAD}"),
        ((i for i in ()), "a generator cannot be sent, for nothing of it has run; return a list instead"),
        ([{"a": 1j}], f"a complex cannot be sent; {INSTEAD}"),
        (collections.deque([1]), f"a deque cannot be sent; {INSTEAD}"),
        (pd.Timestamp("2024-01-01"), f"a Timestamp cannot be sent; {INSTEAD}"),
        (np.complex128(1j), "a complex number cannot be sent; use its real and imaginary parts instead"),
        (np.longdouble(1), f"a numpy {np.dtype(np.longdouble)} cannot be sent; use a float instead"),
        (np.datetime64(1, "ns"), "a numpy datetime64[ns] cannot be sent; use seconds or a str instead"),
        (np.timedelta64(1, "ns"), "a numpy timedelta64[ns] cannot be sent; use seconds or a str instead"),
        (np.ones(1, dtype=np.longdouble),
         f"an array of {np.dtype(np.longdouble)} cannot be sent; use one of numbers or str instead"),
        (np.zeros(1, dtype=[("a", "i4")]),
         "an array of [('a', '<i4')] cannot be sent; use one of numbers or str instead"),
        (np.array([object()]), f"a object cannot be sent; {INSTEAD}"),
        (np.ma.array([1, 2], mask=[False, True]), "a masked array cannot be sent; use its filled() instead"),
        (2**64, "it holds an integer of more than 64 bits; use a float or a str instead"),
        ([-(2**63) - 1], "it holds an integer of more than 64 bits; use a float or a str instead"),
        ("\ud800", f"'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed; {INSTEAD}"),
        (pd.DataFrame({"a": [1j]}),
         "the DataFrame cannot be sent: Unsupported numpy type 15; "
         "Conversion failed for column a with type complex128"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_says_what_to_send_instead(value, why):
    with pytest.raises(Unsendable) as caught:
        encode(value)
    assert str(caught.value) == why


def test_what_is_nested_too_deeply_or_within_itself_cannot_be_sent():
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]

    for value in (circle, deep, {"a": circle}):
        with pytest.raises(Unsendable, match=r"^it is nested too deeply; use a flatter list or dict instead$"):
            encode(value)


def test_a_table_without_pyarrow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(Unsendable) as caught:
        encode(pd.DataFrame({"a": [1]}))
    assert str(caught.value) == "a DataFrame needs pyarrow; from a clone of crunch_game: pip install '.[tables]'"


@pytest.mark.processes
def test_plain_values_need_neither_numpy_nor_pandas():
    program = (
        "import sys; from crunch_game.encoding._values import decode, encode; decode(encode({'a': [1.5, (2,), {3}]}));"
        "print(sorted({'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


# Bytes that nobody should send


def extension(code: int, body: bytes) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(code, body))


def array(*parts: Any) -> bytes:
    return extension(1, msgspec.msgpack.encode(parts))


def survive(data: bytes) -> None:
    for read in (decode, decode_answer):
        with suppress(Undecodable):
            read(data)
    sent_table(data)


@given(st.binary())
def test_random_bytes_are_a_value_or_undecodable(data):
    survive(data)
    survive(extension(1, data))
    survive(extension(2, data))


@given(plain, st.data())
def test_damaged_values_are_a_value_or_undecodable(value, data):
    sent = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    survive(bytes(sent))
    survive(bytes(sent[: data.draw(st.integers(0, len(sent)))]))


@given(st.from_regex(wire._DTYPE, fullmatch=True) | st.text(), st.lists(st.integers()), st.binary())
def test_forged_arrays_are_an_array_or_undecodable(dtype, shape, raw):
    try:
        survive(array(dtype, shape, raw))
    except OverflowError:
        assert any(not -(2**63) <= side < 2**64 for side in shape)  # cannot even be forged


TABLE = bytes(wire._table(pd.DataFrame({"a": [1, 2.5], "b": ["x", "yy"], "c": pd.Categorical(["u", "v"])})))


TABLE_OF_ONE = bytes(wire._table(pd.DataFrame({"a": [1]})))


@settings(max_examples=3 * settings().max_examples)
@given(st.lists(st.tuples(st.integers(0, len(TABLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_forged_tables_are_a_table_or_undecodable(damages):
    data = bytearray(TABLE)
    for place, byte in damages:
        data[place] = byte
    survive(extension(2, bytes(data)))


def test_a_table_whose_offsets_lead_elsewhere_is_refused():
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, pyarrow.schema([("a", pyarrow.string())])) as writer:
        writer.write_batch(pyarrow.record_batch([pyarrow.array(["x", "y"])], names=["a"]))
    # The true offsets of the two strings stand in the stream as they stand in memory.
    forged = bytes(sink.getvalue()).replace(struct.pack("<3i", 0, 1, 2), struct.pack("<3i", 0, 1 << 30, 1 << 30))

    with pytest.raises(Undecodable, match=r"^a table could not be read: "):
        decode(extension(2, forged))


def test_a_table_of_a_model_is_handed_on_unread_and_no_table_is_one():
    table = encode(pd.DataFrame({"a": [1]}))

    assert sent_table(table) == SentTable(TABLE_OF_ONE)
    for other in (encode(1), encode(np.zeros(3)), encode([pd.DataFrame({"a": [1]})]), b"", b"\xc1", b"\x91" * 100_000):
        assert sent_table(other) is None


@pytest.mark.parametrize("where", [lambda table: table, lambda table: [table], lambda table: {"a": table}])
def test_a_table_is_no_part_of_an_answer(where):
    with pytest.raises(Undecodable) as caught:
        decode_answer(encode(where(pd.DataFrame({"a": [1]}))))
    assert str(caught.value) == wire.NO_TABLE


@given(plain, arrays)
def test_other_answers_come_out_as_they_went_in(value, array):
    left, right = decode_answer(encode([value, array]))

    assert same(left, value)
    assert right.tobytes() == array.tobytes()


@pytest.mark.parametrize("shape", [(2**30, 0), (2**10, 2**11, 0), (2**10, 2**11, 0, 2), (2**20, *[1] * 31)])
def test_an_array_of_far_more_lists_than_bytes_is_refused_either_way(shape):
    few = np.zeros(shape, np.int8)

    with pytest.raises(Undecodable) as refused:
        decode(array("|i1", shape, few.tobytes()))
    with pytest.raises(Unsendable) as unsent:
        encode(few)
    assert str(refused.value) == f"an array of shape {shape} is mostly empty lists, or lists of one"
    assert str(unsent.value) == (
        f"an array of shape {shape} cannot be sent: it is mostly empty lists, or lists of one; use fewer sides"
    )


@pytest.mark.parametrize("shape", [(2**20, 0), (0, 5), (0, 2**30), (2**21, 1), (2**20, 1, 1), (1,) * 32])
def test_an_array_of_few_or_no_cells_comes_out(shape):
    assert decode(encode(np.zeros(shape, np.int8))).shape == shape


@pytest.mark.parametrize("sides", [65, 45_000])
def test_an_array_of_more_sides_than_numpy_has_is_refused_before_they_are_multiplied(sides):
    with pytest.raises(Undecodable) as caught:
        decode(array("|i1", (2**64 - 1,) * sides, b""))
    assert str(caught.value) == f"an array of {sides} sides is not known"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (extension(9, b""), "an extension of type 9 is not known"),
        (array("|O", (1,), b"12345678"), "an array of '|O' is not known"),
        (array("<V8", (1,), b"12345678"), "an array of '<V8' is not known"),
        (array("<f8\n", (1,), b"12345678"), "an array of '<f8\\n' is not known"),
        (array("<f8", (2,), b"12345678"), "an array of shape (2,) has 8 bytes"),
        (array("<f8", (-1,), b"12345678"), "an array of shape (-1,) has 8 bytes"),
        (array("<f8", (-1, -1), b"12345678"), "an array of shape (-1, -1) has 8 bytes"),
        (array("<f8", (2**40, 2**40), b""), f"an array of shape ({2**40}, {2**40}) has 0 bytes"),
        (b"", "Input data was truncated"),
        (b"\xc1", "MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"),
        (b"\x01\x02", "MessagePack data is malformed: trailing characters (byte 1)"),
        (b"\xdd\xff\xff\xff\xff", "Input data was truncated"),
    ],
)
def test_what_is_no_value_says_why(data, why):
    with pytest.raises(Undecodable) as caught:
        decode(data)
    assert str(caught.value) == why


def test_what_is_nested_too_deeply_is_undecodable():
    with pytest.raises(Undecodable):
        decode(b"\x91" * 100_000 + b"\xc0")
    with pytest.raises(Undecodable):
        decode(b"\x81\x01" * 100_000 + b"\xc0")


def test_nothing_is_unpickled():
    assert "pickle" not in wire.__dict__
    survive(extension(2, b"\x80\x04cos\nsystem\n."))
