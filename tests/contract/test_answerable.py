"""A return annotation that no answer can fit is refused when the game is made; all others work as they did."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pydantic
import pytest
from typing_extensions import TypedDict

from crunch_game import Density, Game, ModelRunner, Predict
from crunch_game.contract import Contract
from crunch_game.encoding import decode, encode
from crunch_game.errors import ContractError
from crunch_game.scoring import Categories, Paths, Point, Probability, Quantiles, Samples


class Own:
    pass


class Shape(Protocol):
    def area(self) -> float: ...


class Side(enum.Enum):
    BUY = "buy"


@dataclasses.dataclass
class Tree:
    value: float
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Holder:
    own: Own


class Pair(NamedTuple):
    low: float
    high: float


class Told(TypedDict):
    at: dt.datetime


class Model(pydantic.BaseModel):
    at: dt.date
    side: Side = Side.BUY


def base(annotation: Any) -> type:
    def predict(self: Any) -> Any: ...

    predict.__annotations__["return"] = annotation
    return type("Base", (), {"predict": predict})


GENERATOR = "numpy.random._generator.Generator"
INSTEAD = "a dataclass of plain values, or dict"


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (pd.Series, "a pandas.Series does not come back from a model as such; use numpy.ndarray or pandas.DataFrame"),
        (pd.Series | None, "a pandas.Series does not come back"),
        (np.random.Generator, f"a {GENERATOR} does not come back from a model as such; use {INSTEAD}"),
        (np.float64, "a numpy.float64 does not come back from a model as such; use float"),
        (Own, f"a {__name__}.Own does not come back from a model as such; use {INSTEAD}"),
        (dict[str, list[Own]], f"a {__name__}.Own does not come back"),
        (tuple[float, Own], f"a {__name__}.Own does not come back"),
        (type[Own], f"a {__name__}.Own does not come back"),
        (list[pd.DataFrame], "a pandas.DataFrame does not come back"),
        (Iterator[float], "a collections.abc.Iterator does not come back from a model as such; use list"),
        (Iterable[float], "an Iterator or Iterable does not come back from a model as such; use list"),
        (Callable[[], float], "a Callable does not come back"),
    ],
)
def test_what_no_answer_can_fit_is_refused_when_the_game_is_made(annotation, why):
    cls = base(annotation)

    def make_game() -> Any:
        return Game("g", cls, [Predict(every="1d", horizon="1d")], lambda *given: 0.0, lambda *given: 0.0)

    for make in (make_game, lambda: ModelRunner(cls, [])):
        with pytest.raises(ContractError) as caught:
            make()
        start = f"{__name__}.Base.predict: no answer can fit its return annotation: "
        assert str(caught.value).startswith(start + why)


@pytest.mark.parametrize(
    ("annotation", "answer"),
    [
        (float, 1),
        (Any, {"a": 1}),
        (object, 1.5),
        (np.ndarray, np.array([1.0])),
        (npt.NDArray[np.float64], np.array([1.0])),
        (dict[str, np.ndarray], {"a": np.array([1.0])}),
        (pd.DataFrame, pd.DataFrame({"a": [1.0]})),
        (pd.DataFrame | None, None),
        (float | pd.Series, 1.0),
        (Tree, Tree(1.0, [Tree(2.0)])),
        (Pair, Pair(1.0, 2.0)),
        (Told, {"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}),
        (Model, Model(at=dt.date(2026, 1, 1))),
        (list[Model], [Model(at=dt.date(2026, 1, 1))]),
        (Side, Side.BUY),
        (Literal["up", "down"], "up"),
        (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (dt.date, dt.date(2026, 1, 1)),
        (dt.timedelta, dt.timedelta(hours=1)),
        (decimal.Decimal, decimal.Decimal("1.5")),
        (uuid.UUID, uuid.UUID(int=1)),
        (set[int], {1}),
        (frozenset[str], frozenset({"a"})),
        (tuple[float, ...], (1.0,)),
        (collections.deque[float], [1.0]),
        (Sequence[float], [1.0]),
        (Mapping[str, float], {"a": 1.0}),
        (pathlib.Path, "a"),
        (Annotated[float, pydantic.AfterValidator(abs)], -1.0),
        (list[Density], [{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": 1.0}}]),
        (Probability, 0.5),
    ],
)
def test_what_an_answer_can_fit_is_read_as_before(annotation, answer):
    method = Contract(base(annotation)).method("predict")
    method.check_annotations()

    method.read(decode(encode(answer)))


@pytest.mark.parametrize("annotation", [Quantiles, Samples, Paths, Categories, Point, Density, list[Density | Samples]])
def test_the_answers_of_the_rules_are_answerable(annotation):
    Contract(base(annotation)).method("predict").check_annotations()


@pytest.mark.parametrize("annotation", [Shape, Holder])
def test_what_pydantic_makes_nothing_of_is_refused_too(annotation):
    for made in (annotation, list[annotation]):
        with pytest.raises(ContractError, match=r"Base\.predict: (the annotation of 'return'|no answer can fit)"):
            ModelRunner(base(made), [])


def test_a_method_that_is_not_called_may_return_anything():
    cls = base(float)
    cls.helper = lambda self: Own()
    cls.helper.__annotations__["return"] = Own

    ModelRunner(cls, [])
    with pytest.raises(ContractError, match=r"Base\.helper: no answer can fit its return annotation"):
        Contract(cls).method("helper").bind([], {})
