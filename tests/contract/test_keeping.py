"""What a model is given has the annotated type all the way down, or the annotation is refused with what to use."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NewType, Optional, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from crunch_game import Game, ModelRunner, Predict
from crunch_game.contract import Contract
from crunch_game.encoding import decode, encode
from crunch_game.errors import ContractError
from crunch_game.hosts import Callee


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Flags(enum.Flag):
    OPEN = 1
    THIN = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Trade:
    side: Side
    at: dt.datetime
    price: decimal.Decimal


@dataclasses.dataclass
class Doubled:
    """Its second making would double it again."""

    amount: int
    _hidden: int = 0
    children: list[Doubled] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.amount *= 2


@dataclasses.dataclass(kw_only=True)
class Scaled:
    """Made of what it does not keep, and with what all of them share."""

    most: ClassVar[int] = 9
    scale: dataclasses.InitVar[int]
    amount: int
    days: list[dt.date] = dataclasses.field(init=False)

    def __post_init__(self, scale: int) -> None:
        self.amount *= scale
        self.days = [dt.date(2026, 1, scale)]


class Traded(NamedTuple):
    trade: Trade
    day: dt.date


class Bar(NamedTuple):
    day: dt.date
    high: float = 0.0


class Row(TypedDict, total=False):
    day: dt.date
    bars: dict[int, Bar]


class Quote(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    at: dt.datetime
    side: Side = pydantic.Field(alias="which", default=Side.BUY)
    days: set[dt.date] = pydantic.Field(default_factory=set)

    @pydantic.field_validator("side", mode="before")
    @classmethod
    def turned(cls, side: Side) -> Side:
        return Side.SELL if side is Side.BUY else Side.BUY


class Sides(pydantic.RootModel[list[Side]]):
    pass


class Packed(msgspec.Struct):
    day: dt.date


NAIVE = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - that is what it is for
Price = NewType("Price", decimal.Decimal)
T = TypeVar("T", bound=Side)
floats = st.floats(allow_nan=False, width=64)
dates, naive, moments = st.dates(), st.datetimes(), st.datetimes(timezones=st.just(dt.UTC))
texts, ints = st.text(max_size=5), st.integers(-(2**63), 2**64 - 1)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
trades = st.builds(Trade, st.sampled_from(Side), naive, decimals)
bars = st.builds(Bar, dates, floats)
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, ints),
    (float, floats),
    (str, texts),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=5)),
    (None, st.none()),
    (dt.date, dates),
    (dt.datetime, naive | moments),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas()),
    (decimal.Decimal, decimals),
    (Price, decimals),
    (uuid.UUID, st.uuids()),
    (Side, st.sampled_from(Side)),
    (T, st.sampled_from(Side)),
    (Level, st.sampled_from(Level)),
    (Flags, st.sampled_from([Flags.OPEN, Flags.OPEN | Flags.THIN])),
    (Literal["a", 1], st.sampled_from(["a", 1])),
    (Annotated[Side, "which"], st.sampled_from(Side)),
    (Trade, trades),
    (Bar, bars),
]
HASHABLE = [leaf for leaf in LEAVES if leaf[0] not in (Literal["a", 1], float)]


@st.composite
def annotated(draw: st.DrawFn, leaves: Sequence[Any] = tuple(LEAVES), depth: int = 3) -> tuple[Any, Any]:
    """An annotation, and a value of it."""
    annotation, values = draw(st.sampled_from(list(leaves)))
    way = draw(st.sampled_from(["leaf", "list", "tuple", "pair", "set", "frozenset", "dict", "optional", "row"]))
    if way == "leaf" or depth == 0:
        return annotation, draw(values)
    if way in ("set", "frozenset"):
        annotation, values = draw(st.sampled_from(HASHABLE[:-2]))
        kind = set if way == "set" else frozenset
        return kind[annotation], kind(draw(st.sets(values, max_size=3)))
    inner, value = draw(annotated(leaves, depth - 1))
    if way == "list":
        return list[inner], [value]
    if way == "tuple":
        return tuple[inner, ...], (value, value)
    if way == "pair":
        return tuple[inner, annotation], (value, draw(values))
    if way == "optional":
        return Optional[inner], draw(st.sampled_from([value, None]))  # noqa: UP045 - of what may be None already
    if way == "row":
        return Row, {"day": draw(dates), "bars": {draw(ints): draw(bars)}}
    key, keys = draw(st.sampled_from(HASHABLE[:-2]))
    return dict[key, inner], {draw(keys): value}


def typed(value: Any) -> Any:
    """The value with the type of each part beside it, to be compared."""
    if isinstance(value, Mapping):
        return type(value), [(typed(key), typed(each)) for key, each in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), value, {type(each) for each in value}
    if isinstance(value, list | tuple):
        return type(value), [typed(each) for each in value]
    if isinstance(value, np.ndarray):
        return type(value), value.dtype, value.tolist()
    if isinstance(value, pd.DataFrame):
        return type(value), value.to_dict()
    if dataclasses.is_dataclass(value):
        return type(value), [typed(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return type(value), value


def contract(annotation: Any) -> Contract:
    def tick(self: Any, value: Any) -> None: ...

    tick.__annotations__ = {"value": annotation, "return": None}
    return Contract(type("Base", (), {"tick": tick}))


def received(annotation: Any, value: Any) -> Any:
    """What a model of a game with that annotation is given, as every host gives it."""
    seen = []
    model = type("Model", (), {"tick": lambda self, given: seen.append(given)})()
    game = contract(annotation)
    for args, kwargs in (([value], {}), ([], {"value": value})):
        args, kwargs = decode(encode(game.method("tick").bind(args, kwargs)))
        Callee(model, game).call("tick", args, kwargs)
    assert typed(seen[0]) == typed(seen[1])
    return seen[0]


@given(annotated())
def test_what_is_given_equals_what_was_sent_in_type_too(pair):
    annotation, value = pair

    assert typed(received(annotation, value)) == typed(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Doubled, Doubled(2, 3, [Doubled(1)])),
        (Scaled, Scaled(scale=2, amount=3)),
        (Quote, Quote(at=NAIVE, which=Side.BUY, days={dt.date(2026, 1, 1)}, more=1)),
        (Sides, Sides([Side.BUY])),
        (list[Quote], [Quote(at=NAIVE)]),
        (Packed, Packed(dt.date(2026, 1, 1))),
        (Trade | None, None),
        (dict[tuple[str, Side] | int, int], {("a", Side.BUY): 1, 2: 3}),
        (dict[frozenset[int], int], {frozenset({1, 2}): 1}),
        (dict[Bar, int], {Bar(dt.date(2026, 1, 1)): 1}),
        (dict[float, str], {0.5: "a", 1.0: "b"}),
        (int | dt.date, 5),
        (int | dt.date, dt.date(2026, 1, 1)),
        (list[int] | Trade, Trade(Side.BUY, NAIVE, decimal.Decimal("1.50"))),
        (Sequence[dt.date], [dt.date(2026, 1, 1)]),
        (Mapping[dt.date, Side], {dt.date(2026, 1, 1): Side.BUY}),
        (collections.OrderedDict[str, int], collections.OrderedDict(a=1)),
        (tuple, (1, 2)),
        (set, {1}),
        (tuple[()], ()),
        (pydantic.AwareDatetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (pydantic.NaiveDatetime, NAIVE),
        (Annotated[float, pydantic.Field(gt=0)], 1.5),
        (np.float64, np.float64(1.5)),
        (np.int32, np.int32(3)),
        (Any, {"a": [1]}),
    ],
)
def test_single_ones(annotation, value):
    got = received(annotation, value)

    assert got == value
    assert type(got) is type(value)
    assert typed(got) == typed(value)


def test_an_aware_datetime_is_the_same_moment_in_utc():
    given_at = dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    assert received(dt.datetime, given_at) == given_at
    assert received(dt.datetime, given_at).tzinfo is dt.UTC


def test_arrays_and_tables_beside_others_arrive_as_they_are():
    values = received(tuple[npt.NDArray[np.float64], dt.date], (np.array([1.0, 2.0]), dt.date(2026, 1, 1)))

    assert values[0].tolist() == [1.0, 2.0]
    assert values[0].dtype == np.float64
    assert values[1] == dt.date(2026, 1, 1)
    assert received(pd.DataFrame | dt.date, pd.DataFrame({"a": [1]})).equals(pd.DataFrame({"a": [1]}))


class Secret(pydantic.BaseModel):
    _cache: int = 0


class Serialized(pydantic.BaseModel):
    at: int

    @pydantic.field_serializer("at")
    def shown(self, at: int) -> str:
        return str(at)


class Hidden(pydantic.BaseModel):
    at: int = pydantic.Field(exclude=True)


class Own:
    pass


class Ranges(enum.Enum):
    ALL = (0, 1)


HERE = __name__
TABLES = "numpy.ndarray or pandas.DataFrame"
ALIKE = "look alike when they are sent; use one of them, or a dataclass with a field for each"
NO_KEY = "is sent as a dict, which can be no key; use a NamedTuple, a tuple or a str"
PLAIN = "a dataclass of plain values, or dict"


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (
            pd.Series,
            f"a pandas.Series does not reach a model as such; use {TABLES}",
        ),
        (Iterator[float], "a collections.abc.Iterator does not reach a model as such; use list"),
        (collections.deque, "a collections.deque does not reach a model as such; use list"),
        (pathlib.Path, "a pathlib.Path does not reach a model as such; use str"),
        (np.random.Generator, f"a numpy.random._generator.Generator does not reach a model as such; use {PLAIN}"),
        (list[Own], f"a {HERE}.Own does not reach a model as such; use {PLAIN}"),
        (dict[str, Own | None], f"a {HERE}.Own does not reach a model as such; use {PLAIN}"),
        (dt.date | str, f"datetime.date and str {ALIKE}"),
        (Trade | Quote, f"{HERE}.Trade and {HERE}.Quote {ALIKE}"),
        (Side | Any, "Any may be any of the others; name one type for each kind of value"),
        (Secret, f"{HERE}.Secret has private attributes or serializers, which are lost; use one without"),
        (Serialized, f"{HERE}.Serialized has private attributes or serializers, which are lost; use one without"),
        (Hidden, f"{HERE}.Hidden has fields that are excluded when it is sent; use one without"),
        (dict[Trade, int], f"{HERE}.Trade {NO_KEY}"),
        (dict[tuple[int, Trade | None], int], f"{HERE}.Trade in tuple[int, {HERE}.Trade | None] {NO_KEY}"),
        (list[dict[Traded, int]], f"{HERE}.Trade in {HERE}.Traded {NO_KEY}"),
        (Ranges, f"{HERE}.Ranges has members that are no plain values; use str or int for each"),
    ],
)
def test_what_does_not_reach_a_model_is_refused_when_the_game_is_made(annotation, why):
    base = contract(annotation).base
    base.predict = predict
    sentence = f"{HERE}.Base.tick: the annotation of 'value' cannot be kept: {why}"

    def make_game() -> Any:
        return Game("g", base, [Predict(every="1d", horizon="1d")], lambda *given: 0.0, lambda *given: 0.0)

    for make in (make_game, lambda: ModelRunner(base, [])):
        with pytest.raises(ContractError) as caught:
            make()
        assert str(caught.value) == sentence


def predict(self: Any) -> float: ...


def test_a_method_that_the_game_does_not_call_may_take_anything():
    def helper(self: Any, value: pd.Series) -> Any:
        return value.mean()

    base = contract(int).base
    base.helper = helper
    helper.__annotations__["value"] = pd.Series

    ModelRunner(base, [])
    with pytest.raises(ContractError, match="the annotation of 'value' cannot be kept"):
        Contract(base).method("helper").bind([pd.Series([1.0])], {})


@pytest.mark.processes
def test_the_usual_annotations_cost_a_models_process_nothing():
    program = (
        "import sys; from crunch_game.contract import Contract\n"
        "class Base:\n"
        "    def predict(self, a: str, b: dict[str, float], c: list[int], d, e: float = 0.0) -> float: ...\n"
        "fit = Contract(Base).method('predict').fit(lambda a, b, c, d, e: 0)\n"
        "print(fit.positions, [name for name in ('decimal', 'crunch_game.contract._keeping') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("5 [")
    assert "_keeping" not in printed
