"""One value against one annotation: strict, but for int to float and for numpy to plain values."""

from __future__ import annotations

import dataclasses
import enum
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired
from uuid import UUID

import annotated_types
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typing_extensions import TypedDict

from crunch_game import scoring
from crunch_game.contract import Mismatch
from crunch_game.contract._checking import Check
from crunch_game.encoding import decode, encode

_NEITHER = "at ['a']: Input should be a valid number, not None; at ['a']: Input should be a valid string, not None"


class Side(enum.Enum):
    UP = "up"
    DOWN = "down"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Normal:
    mean: float
    std: float = 1.0


class Density(pydantic.BaseModel):
    weight: float = pydantic.Field(ge=0)
    normal: Normal


class Forecast(TypedDict):
    event_id: str
    prediction: float
    reasoning: NotRequired[str | None]


class Point(NamedTuple):
    x: float
    y: float


class Custom:
    pass


def refusal(annotation: Any, value: Any, **options: bool) -> str:
    with pytest.raises(Mismatch) as caught:
        Check(annotation, **options).read(value)
    return str(caught.value)


# Strict


@given(st.booleans())
def test_a_bool_is_never_a_number(value):
    assert refusal(float, value) == f"Input should be a valid number, not {value}"
    assert refusal(int, value) == f"Input should be a valid integer, not {value}"
    assert refusal(list[float], np.array([value])) == f"at [0]: Input should be a valid number, not {value}"
    refusal(tuple[int, ...], [value])
    refusal(dict[str, float], {"a": value})


@given(st.text() | st.integers().map(str) | st.floats().map(str))
def test_a_str_is_never_a_number(value):
    for annotation in (int, float, bool, float | int, float | None):
        refusal(annotation, value)
    refusal(tuple[float, str], [value, value])
    refusal(Normal, {"mean": value})


@given(st.integers(-(2**63), 2**64 - 1))
def test_an_int_becomes_the_float_that_is_annotated(value):
    read = Check(float).read(value)

    assert type(read) is float
    assert read == float(value)
    assert Check(list[float]).read([value]) == [float(value)]
    assert type(Check(tuple[float, ...]).read([value])[0]) is float


@given(st.floats(allow_nan=False))
def test_a_float_is_never_an_int(value):
    refusal(int, value)
    refusal(list[int], [value])
    refusal(tuple[int], [value])


@pytest.mark.parametrize(("annotation", "value"), [(bool, 1), (bool, 0.0), (str, 1), (list[float], "12"), (str, None)])
def test_nothing_else_becomes_what_it_is_not(annotation, value):
    refusal(annotation, value)


# numpy


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, np.float32(0.5), 0.5),
        (float, np.float64(0.5), 0.5),
        (float, np.int64(2), 2.0),
        (float, np.array(1.5), 1.5),
        (int, np.uint8(7), 7),
        (bool, np.True_, True),
        (str, np.str_("up"), "up"),
        (list[float], np.array([1, 2]), [1.0, 2.0]),
        (list[int], np.array([1, 2], dtype=np.int8), [1, 2]),
        (list[list[float]], np.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
        (tuple[float, float], np.array([1.0, 2.0]), (1.0, 2.0)),
        (dict[str, float], {"BTC": np.float32(1.0)}, {"BTC": 1.0}),
        (dict[str, list[float]], {"BTC": np.ones(2)}, {"BTC": [1.0, 1.0]}),
        (Normal, {"mean": np.float64(0.5), "std": np.int32(2)}, Normal(0.5, 2.0)),
        (list[str], np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_numpy_values_become_what_is_annotated(annotation, value, expected):
    read = Check(annotation).read(value)

    assert read == expected
    assert type(read) is type(expected)


def test_an_array_is_read_whole_or_refused():
    assert refusal(list[int], np.array([1.5, 2.0])).startswith("at [0]: Input should be a valid integer")
    assert refusal(float, np.array([1.0])) == "Input should be a valid number, not [1.0]"


def test_a_class_is_checked_by_isinstance():
    array, table, thing = np.ones(2), pd.DataFrame({"a": [1]}), Custom()

    assert Check(np.ndarray).read(array) is array
    assert Check(NDArray[np.float64]).read(array) is array
    assert Check(pd.DataFrame).read(table) is table
    assert Check(Custom).read(thing) is thing
    assert Check(dict[str, np.ndarray]).read({"a": array})["a"] is array
    assert refusal(np.ndarray, [1.0]) == "Input should be an instance of ndarray, not [1.0]"
    assert refusal(Custom, 5) == "Input should be an instance of Custom, not 5"


# What has no form of its own on the wire


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (tuple[float, float], (0.5, 1.0)),
        (tuple[str, ...], ("a", "b")),
        (list[tuple[str, float]], [("a", 1.0)]),
        (set[int], {1, 2}),
        (frozenset[str], frozenset("ab")),
        (Normal, Normal(0.5, 2.0)),
        (list[Normal], [Normal(0.5), Normal(1.0)]),
        (Density, Density(weight=1.0, normal=Normal(0.0))),
        (Forecast, {"event_id": "a", "prediction": 0.5}),
        (Forecast, {"event_id": "a", "prediction": 0.5, "reasoning": None}),
        (Point, Point(1.0, 2.0)),
        (Side, Side.UP),
        (Level, Level.LOW),
        (dict[str, Side], {"BTC": Side.DOWN}),
        (datetime, datetime(2024, 1, 2, 3, 4, 5, 600, tzinfo=UTC)),
        (datetime, datetime(2024, 1, 2)),  # noqa: DTZ001
        (date, date(2024, 1, 2)),
        (timedelta, timedelta(hours=1, microseconds=5)),
        (Decimal, Decimal("1.50")),
        (UUID, UUID(int=7)),
        (bytes, b"\xff\x00"),
        (tuple[bytes, int], (b"ab", 1)),
        (Literal["a", 3], 3),
        (float | None, None),
        (float | None, 0.5),
        (Normal | None, Normal(1.0)),
        (list[dict[str, tuple[int, Normal]]], [{"a": (1, Normal(1.0))}]),
        (dict[int, list[float]], {300: [1.0]}),
        (dict[int, tuple[float, float]], {300: (1.0, 2.0)}),
        (dict[float, tuple[float]], {0.5: (1.0,)}),
    ],
)
def test_what_a_model_returns_arrives_as_it_was(annotation, value):
    read = Check(annotation).read(decode(encode(value)))

    assert read == value
    assert type(read) is type(value)


def test_a_dict_key_may_come_as_text():
    assert Check(dict[int, float]).read({"300": 1.0}) == {300: 1.0}


@pytest.mark.parametrize(
    ("annotation", "value", "sentence"),
    [
        (tuple[float, float], [1.0, "a"], "at [1]: Input should be a valid number, not 'a'"),
        (tuple[float, float], [1.0], "at [1]: Field required"),
        (Normal, {"std": 1.0}, "at ['mean']: Field required"),
        (Normal, 3, "Input should be a dict, not 3"),
        (dict[str, float], [1.0], "Input should be a dict, not [1.0]"),
        (list[Normal], {"mean": 0.0}, "Input should be a list, not {'mean': 0.0}"),
        (Side, "sideways", "Input should be 'up' or 'down', not 'sideways'"),
        (Forecast, {"event_id": "a"}, "at ['prediction']: Field required"),
        (
            Density,
            {"weight": -1, "normal": {"mean": 0}},
            "at ['weight']: Input should be greater than or equal to 0, not -1",
        ),
        (Annotated[float, pydantic.Field(le=1)], 1.5, "Input should be less than or equal to 1, not 1.5"),
        (dict[str, list[float]], {"a": [0.5, None]}, "at ['a'][1]: Input should be a valid number, not None"),
        (float | str, [], "Input should be a valid number, not []; Input should be a valid string, not []"),
        (
            list[scoring.Density],
            [scoring.normal(0.0, 1.0), {"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": -1.0}}],
            "at [1]['params']['scale']: scale must be a number from 1e-300 to 1e+300, the range that double precision "
            "can tell, not -1.0",
        ),
        (list[list[float] | None], [[0.5, "a"]], "at [0][1]: Input should be a valid number, not 'a'"),
        (dict[str, float | str], {"a": None}, _NEITHER),
        (dict[int, float], {7: "a"}, "at ['7']: Input should be a valid number, not 'a'"),
        (str, 10**100, f"Input should be a valid string, not 1{'0' * 76}..."),
        (list[float], ["a"] * 9, "; ".join(f"at [{i}]: Input should be a valid number, not 'a'" for i in range(3))),
        (float, {1, 2}, "Input should be a valid number, not [1, 2]"),
        (float, Custom, f"Input should be a valid number, not {Custom!r}"),
    ],
)
def test_a_refusal_says_where_and_why(annotation, value, sentence):
    assert refusal(annotation, value) == sentence


def test_a_value_within_itself_is_refused():
    value: list[Any] = []
    value.append(value)

    assert refusal(tuple[float], value) == "Input should be a valid tuple, not [[...]]"


def test_a_validator_that_raises_is_a_refusal():
    def picky(value):
        raise TypeError("never good enough")

    assert refusal(Annotated[float, pydantic.AfterValidator(picky)], 1.0) == "never good enough"


@pytest.mark.parametrize("thing", [None, 1, "a", object(), [Custom()]])
def test_without_an_annotation_anything_goes(thing):
    assert Check(Any).read(thing) is thing


@given(st.lists(st.sampled_from([[0.5, 1], (0.5, 1.0), np.array([0.5, 1.0]), [0.5], "a", None, 3]), max_size=8))
def test_what_was_read_before_changes_nothing(values):
    def tried(check, value):
        try:
            return check.read(value)
        except Mismatch as error:
            return str(error)

    used = Check(tuple[float, float])

    assert [tried(used, value) for value in values] == [tried(Check(tuple[float, float]), value) for value in values]


@pytest.mark.parametrize(
    ("annotation", "value", "sentence"),
    [
        (dict[str, float], {0: 1.0}, "it has the key 0, which should be a str"),
        (dict[str, float], {"a": 1.0, None: 1.0}, "it has the key None, which should be a str"),
        (dict[str, float], {True: 1.0}, "it has the key True, which should be a str"),
        (dict[str, tuple[float]], {0.5: [1.0]}, "it has the key 0.5, which should be a str"),
        (list[dict[str, tuple[float]]], [{"a": [1.0]}, {1: [1.0]}], "at [1] stands the key 1, which should be a str"),
        (
            tuple[int, dict[str, dict[str, int]]],
            [1, {"a": {2: 3}}],
            "at [1]['a'] stands the key 2, which should be a str",
        ),
    ],
)
def test_where_a_text_is_asked_for_as_a_key_only_a_text_will_do(annotation, value, sentence):
    assert refusal(annotation, value) == sentence


def test_a_refusal_is_short_whatever_it_tells_of():
    key = "k" * 100_000
    for annotation, value in [(dict[str, float], {key: "a"}), (Any, {key: math.nan}), (float, key)]:
        assert len(refusal(annotation, value, finite=True)) < 200


def test_of_few_mistakes_three_are_told_and_of_very_many_the_first():
    first = "at [0]: Input should be a valid number, not 'a'"
    assert refusal(list[float], ["a"] * 10) == "; ".join(first.replace("0", str(i)) for i in range(3))
    assert refusal(list[float], ["a"] * 100_000) == first
    assert refusal(list[float], [0.5] * 100_000 + ["a"] * 2_000) == (
        "at [100000]: Input should be a valid number, not 'a'"
    )


def test_a_mistake_that_is_told_of_a_large_value_is_the_values_own():
    """Once, what was told was of its beginning: that a list which had been cut was too short."""
    most = Annotated[list[dict[str, float]], annotated_types.Len(1, 128)]
    told = refusal(most, [{"a": 1.0, "b": 2.0}] * 100_000)
    assert told.startswith("List should have at most 128 items after validation, not ")
    assert "not 100000" in told or "not 129" in told
    paths = Annotated[list[Annotated[list[float], annotated_types.Len(1)]], annotated_types.Len(1)]
    assert refusal(paths, [[0.5] * 30] * 3_000 + [["a"]]).startswith("at [3000][0]: Input should be a valid number")


class Curve(pydantic.BaseModel):
    points: list[float]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[str], [[None]] * 300_000),
        (dict[str, float], {str(number): None for number in range(300_000)}),
        (Curve, {"points": ["a"] * 300_000}),
        (list[Curve | tuple[float, ...]], [{"points": ["a"]}] * 300_000),
        (float, [0] * 300_000),
        (str, [[[]] * 600] * 600),
    ],
    ids=["list", "dict", "model", "union", "float", "str"],
)
def test_of_very_many_mistakes_the_first_is_enough(annotation, value):
    """To note every one of a few MiB took seconds of the event loop, and gigabytes."""
    check = Check(annotation, finite=True)
    for attempt in (check._python, check._json):
        with pytest.raises(pydantic.ValidationError) as found:
            attempt(value)
        assert found.value.error_count() <= 2
    assert len(refusal(annotation, value)) < 300


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)])
@pytest.mark.parametrize("finite", [True, False])
def test_what_is_nested_deeper_than_anyone_needs_is_no_answer(wrap, finite):
    fits = 1.0
    for _ in range(100):
        fits = wrap(fits)

    check = Check(Any, finite=finite, shallow=True)

    assert check.read(fits) is fits
    with pytest.raises(Mismatch, match=r"^it is nested more than 100 levels deep; use a flatter list or dict instead$"):
        check.read(wrap(fits))


def test_nor_is_what_holds_itself():
    value: list[Any] = []
    value.append(value)

    assert refusal(Any, value, finite=True).startswith("it is nested more than 100 levels deep")


# NaN and infinity


not_finite = st.sampled_from([math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")])
places = st.recursive(
    not_finite,
    lambda inner: st.one_of(
        st.tuples(st.integers(), inner).map(list),
        st.tuples(inner, st.text(max_size=3)),
        st.fixed_dictionaries({"a": st.none(), "b": inner}),
        inner.filter(lambda value: isinstance(value, float)).map(lambda value: {value: 1}),
    ),
    max_leaves=4,
)


@given(places)
def test_nan_and_infinity_are_found_wherever_they_stand(value):
    assert refusal(Any, value, finite=True).endswith("; NaN and infinity are not allowed")
    assert Check(Any).read(value) is value


@given(st.recursive(st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_what_is_finite_passes(value):
    assert Check(Any, finite=True).read(value) is value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (math.nan, "it is nan"),
        ([1.0, -math.inf], "at [1] stands -inf"),
        ({"BTC": [{"mean": math.inf}]}, "at ['BTC'][0]['mean'] stands inf"),
        ({math.nan: 1.0}, "it has the key nan"),
        ([{math.nan: 1.0}], "at [0] stands the key nan"),
        ({"a": np.array([1.0, math.nan])}, "at ['a'] stands a ndarray that holds one"),
        (np.array([math.inf], dtype=np.float16), "it is a ndarray that holds one"),
        (np.float32("nan"), "it is a float32 that holds one"),
        (pd.DataFrame({"a": ["x", "y"], "b": [1.0, math.nan]}), "it is a DataFrame that holds one"),
        ({1.0, math.nan}, "it is a set that holds one"),
    ],
)
def test_a_refusal_of_nan_says_where_it_stands(value, what):
    assert refusal(Any, value, finite=True) == f"{what}; NaN and infinity are not allowed"


def test_tables_and_arrays_without_them_pass():
    for value in (np.arange(3), np.array(["a"]), np.ones(2), pd.DataFrame({"a": ["x"], "b": [1.0]}), np.int8(1)):
        Check(Any, finite=True).read(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[float, pydantic.AllowInfNan(True)], math.nan),
        (list[Annotated[float, pydantic.AllowInfNan(True)]], [math.inf]),
        (dict[str, Annotated[float, pydantic.AllowInfNan(True)] | None], {"a": -math.inf}),
    ],
)
def test_an_annotation_may_allow_them(annotation, value):
    assert Check(annotation, finite=True).read(value) is not None


def test_an_annotation_may_refuse_them():
    sentence = "Input should be a finite number, not nan"

    assert refusal(Annotated[float, pydantic.AllowInfNan(False)], math.nan) == sentence


def test_where_they_are_allowed_they_arrive_in_tuples_too():
    read = Check(tuple[float, float | None]).read([math.inf, math.nan])

    assert read[0] == math.inf
    assert math.isnan(read[1])
