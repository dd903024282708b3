"""Values come out of a Variant as what a model expects; bytes that are none are refused with a sentence."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pyarrow import parquet

from crunch_game.crunchdao.protocol import arguments, decode_answer, encode, keywords, values
from crunch_game.crunchdao.protocol._messages import Variant, VariantType
from crunch_game.crunchdao.protocol._variants import decode
from crunch_game.encoding import NO_TABLE, SentTable, Undecodable, Unsendable

text = st.text(st.characters(exclude_categories=["Cs"]))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    """Equal, of one type, and NaN is NaN."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(map(same, a.values(), b.values()))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def through(value: Any) -> Any:
    """A value as it arrives: the Variant is serialized, as on the way to a node."""
    return decode(Variant.FromString(encode(value).SerializeToString()))


@given(plain)
def test_plain_values_come_out_as_they_went_in(value):
    assert same(through(value), value)


@pytest.mark.parametrize(
    ("value", "kind", "data"),
    [
        (1.5, VariantType.DOUBLE, b"\x00\x00\x00\x00\x00\x00\xf8?"),
        (-2, VariantType.INT, b"\xfe" + b"\xff" * 7),
        ("é", VariantType.STRING, b"\xc3\xa9"),
        ([1, {"a": math.nan}], VariantType.JSON, b'[1,{"a":NaN}]'),
        ({1: 2}, VariantType.JSON, b'{"1":2}'),
        (True, VariantType.JSON, b"true"),
        (None, VariantType.JSON, b"null"),
    ],
)
def test_a_value_has_the_type_and_the_bytes_that_the_peers_read(value, kind, data):
    assert encode(value) == Variant(type=kind, value=data)


class Side(enum.Enum):
    BUY = "buy"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Quote:
    price: float
    side: Side


class Bar(pydantic.BaseModel):
    close: float


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(-3), -3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array(2.5), 2.5),
        (np.array(["a", None], dtype=object), ["a", None]),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        (pd.Index(["a"]), ["a"]),
        ((1, (2, [3])), [1, [2, [3]]]),
        (Point(1, 2), [1, 2]),
        ({"a": (np.float64(1.5), np.arange(2))}, {"a": [1.5, [0, 1]]}),
        ({np.int64(1): 2, 3: 4}, {"1": 2, "3": 4}),
        ([{1}], [[1]]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (Side.BUY, "buy"),
        (Level.LOW, 1),
        (Quote(1.5, Side.BUY), {"price": 1.5, "side": "buy"}),
        (Bar(close=1.5), {"close": 1.5}),
        ([datetime(2024, 1, 2, tzinfo=UTC)], ["2024-01-02T00:00:00Z"]),
        (Decimal("1.5"), "1.5"),
        ([2**70], [2**70]),
    ],
)
def test_what_has_no_form_of_its_own_arrives_as_the_plain_value_next_to_it(value, arrives):
    assert same(through(value), arrives)


@given(npst.arrays(np.float64, npst.array_shapes(max_dims=3, min_side=0)))
def test_arrays_arrive_as_lists(array):
    assert same(through(array), array.tolist())


@pytest.mark.parametrize("index", [pd.RangeIndex(3), pd.date_range("2024-01-01", periods=3, tz="UTC"), list("abc")])
def test_a_table_arrives_as_it_is(index):
    table = pd.DataFrame({"x": [1.5, math.nan, -math.inf], "n": [1, 2, 3], "s": ["a", "b", ""]}, index=index)

    variant = encode(table)

    assert variant.type == VariantType.PARQUET
    pd.testing.assert_frame_equal(through(table), table, check_freq=False)
    assert parquet.read_table(pyarrow.BufferReader(variant.value)).num_rows == 3


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"x", "a bytes cannot be sent; use a str or a list of numbers instead"),
        ([bytearray(b"x")], "a bytearray cannot be sent; use a str or a list of numbers instead"),
        (1j, "a complex cannot be sent; use numbers, str, list or dict instead"),
        ([np.complex64(1)], "a complex number cannot be sent; use its real and imaginary parts instead"),
        (Opaque(), "a Opaque cannot be sent; use numbers, str, list or dict instead"),
        (2**63, "it is an integer of more than 64 bits; use a float or a str instead"),
        ("\ud800", "it holds lone surrogates, which are no text; use str.encode and decode to mend it"),
        (["\ud800"], "it holds lone surrogates, which are no text; use str.encode and decode to mend it"),
        (
            [pd.DataFrame({"a": [1]})],
            "a DataFrame inside of a list or dict cannot be sent; send it alone, or its to_dict()",
        ),
        (np.ma.masked_array([1], [True]), "a masked array cannot be sent; use its filled() instead"),
        (
            {(1, 2): 3},
            "Only dicts with str-like or number-like keys are supported; use numbers, str, list or dict instead",
        ),
    ],
)
def test_what_cannot_be_sent_says_what_to_use_instead(value, told):
    with pytest.raises(Unsendable) as caught:
        encode(value)
    assert str(caught.value) == told


def test_what_holds_itself_cannot_be_sent():
    circle: list[Any] = []
    circle.append(circle)

    with pytest.raises(Unsendable, match="nested too deeply"):
        encode(circle)


def test_a_table_that_parquet_cannot_hold_says_why():
    with pytest.raises(Unsendable, match=r"the DataFrame cannot be sent: .*[Dd]uplicate"):
        encode(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        (VariantType.DOUBLE, b"123", "a value of type DOUBLE could not be read: "),
        (VariantType.INT, b"123", "a value of type INT could not be read: "),
        (VariantType.STRING, b"\xff", "a value of type STRING could not be read: "),
        (VariantType.JSON, b"{", "a value of type JSON could not be read: "),
        (VariantType.JSON, b"\xff", "a value of type JSON could not be read: "),
        (VariantType.JSON, b'"\\ud800"', "a value of type JSON could not be read: it holds lone surrogates"),
        (VariantType.JSON, b"[" * 100_000, "a value of type JSON could not be read: "),
        (VariantType.JSON, b"1" * 5_000, "a value of type JSON could not be read: "),
        (VariantType.PARQUET, b"PAR1 is not enough", "a value of type PARQUET could not be read: "),
        (VariantType.ARROW, b"", "a value of type ARROW could not be read: ARROW is not known"),
        (99, b"", "a value of type 99 is not known"),
    ],
)
def test_bytes_that_are_no_value_are_refused(kind, data, told):
    with pytest.raises(Undecodable) as caught:
        decode(Variant(type=kind, value=data))
    assert str(caught.value).startswith(told)


def test_none_is_none_however_it_is_said():
    assert decode(Variant()) is None
    assert decode(Variant(type=VariantType.JSON, value=b"null")) is None


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 255))), st.integers(0, 10_000))
def test_a_forged_table_is_refused_or_read_but_ends_nothing(flip, seed):
    data = bytearray(encode(pd.DataFrame({"x": [1.5, 2.5], "s": ["a", "b"]})).value)
    data[seed % len(data)] ^= flip[1]

    with contextlib.suppress(Undecodable):
        decode(Variant(type=VariantType.PARQUET, value=bytes(data)))


def test_a_table_of_a_model_is_handed_on_unread_where_one_is_promised():
    variant = encode(pd.DataFrame({"x": [1.5]}))

    assert decode_answer(variant, table=True) == SentTable(variant.value, is_parquet=True)
    with pytest.raises(Undecodable) as caught:
        decode_answer(variant, table=False)
    assert str(caught.value) == NO_TABLE


@given(plain, st.booleans())
def test_other_answers_come_out_as_they_went_in(value, table):
    assert same(decode_answer(encode(value), table=table), value)


def test_arguments_are_numbered_from_one_and_read_in_their_order():
    given_, named = arguments([1.5, "a"]), keywords({"k": [1]})

    assert [argument.position for argument in given_] == [1, 2]
    assert values(reversed(given_), named) == ([1.5, "a"], {"k": [1]})


def test_json_is_what_every_reader_of_json_reads():
    assert json.loads(encode({"a": [1, "é", None, True]}).value) == {"a": [1, "é", None, True]}
