"""What a model offers is looked at before it is called: what can never be called, or never runs, is told."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from crunch_game.contract import Contract
from crunch_game.errors import ContractError


class Game:
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: int, step: int) -> list[float]: ...

    def explain(self, depth: int = 1) -> str:
        return "no reason"


CONTRACT = Contract(Game)
ASYNC = (
    "which is async: the game calls it and awaits nothing, so that none of it would run; write def instead of "
    "async def in the methods that the game calls, and asyncio.run(...) around what must be awaited"
)
GENERATOR = (
    "which is a generator: the game calls it and iterates over nothing, so that none of it would run; write return "
    "instead of yield, and a list if it answers with several values"
)


class Complete(Game):
    def tick(self, prices):
        pass

    def predict(self, asset, horizon, step):
        return []


def with_method(name: str, value: Any) -> Any:
    return type("Mine", (Complete,), {name: value})()


async def waits(self, *args):
    return []


async def waits_and_yields(self, *args):
    yield []


def yields(self, *args):
    yield []


class Waiting:
    async def __call__(self, *args):
        return []


def in_async(function):
    @functools.wraps(function)
    async def wrapper(*args):
        return function(*args)

    return wrapper


@pytest.mark.parametrize("method", ["tick", "predict", "explain"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (waits, ASYNC),
        (waits_and_yields, ASYNC),
        (yields, GENERATOR),
        (staticmethod(waits), ASYNC),
        (classmethod(yields), GENERATOR),
        (functools.partial(waits, None), ASYNC),
        (functools.partialmethod(waits, 1), ASYNC),
        (functools.lru_cache(waits), ASYNC),
        (Waiting(), ASYNC),
        (in_async(Complete.predict), ASYNC),
    ],
)
def test_what_would_never_run_is_said(method, value, why):
    assert CONTRACT.unplayable(with_method(method, value)) == f"{method}, {why}"


def test_what_would_never_run_is_seen_on_the_instance_too():
    model = Complete()
    model.predict = functools.partial(waits, model)

    assert CONTRACT.unplayable(model) == f"predict, {ASYNC}"


def test_what_the_game_does_not_call_may_be_async():
    assert CONTRACT.unplayable(with_method("fetch", waits)) is None
    assert CONTRACT.unplayable(with_method("_predict", yields)) is None


class Inner:
    def predict(self, asset, horizon, step):
        return []


class Compiled:
    """As compiled functions are: a descriptor of its own, that says nothing of what it takes."""

    def __get__(self, instance, owner):
        return max


@pytest.mark.parametrize(
    "value",
    [
        staticmethod(lambda asset, horizon, step: []),
        classmethod(lambda cls, asset, horizon, step: []),
        functools.partial(lambda rate, asset, horizon, step: [], 0.1),
        functools.partialmethod(lambda self, rate, asset, horizon, step: [], 0.1),
        lambda self, asset, horizon, step: [],
        lambda self, symbol, seconds, every: [],
        lambda self, *args: [],
        lambda self, asset, *, step, horizon: [],
        lambda *args: [],
        functools.lru_cache(lambda self, asset, horizon, step: []),
        Inner().predict,
        Compiled(),
    ],
)
def test_what_can_be_called_is_left_alone(value):
    assert CONTRACT.unplayable(with_method("predict", value)) is None


def test_a_property_is_not_asked_before_the_model_is():
    class Mine(Complete):
        @property
        def predict(self):
            return self.fitted.predict

        @functools.cached_property
        def tick(self):
            raise AssertionError("it was asked")

    assert CONTRACT.unplayable(Mine()) is None


def test_attributes_that_cannot_be_had_yet_are_not_judged():
    class Mine(Complete):
        def __getattribute__(self, name):
            if name == "predict":
                raise RuntimeError("not fitted yet")
            return super().__getattribute__(name)

    assert CONTRACT.unplayable(Mine()) is None


WRITE = "write def predict(self, asset, horizon, step)"
ORDER = "whose parameters have names of the game's, but in another order and not all of them"
COUNT = "which cannot take what the game gives it"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda self, step, asset, x: [], f"{ORDER}: it is def predict(self, step, asset, x); {WRITE}"),
        (lambda asset, horizon, step: [], f"{ORDER}: it is def predict(asset, horizon, step); {WRITE}"),
        (lambda self: [], f"{COUNT}: it is def predict(self); {WRITE}"),
        (lambda: [], f"{COUNT}: it is def predict(); {WRITE}"),
        (lambda self, a, b, c, d: [], f"{COUNT}: it is def predict(self, a, b, c, d); {WRITE}"),
        (lambda self, a=(0,) * 99: [], f"{COUNT}: it is def predict{f'(self, a={(0,) * 99})'[:197]}...; {WRITE}"),
        (staticmethod(lambda asset: []), f"{COUNT}: it is def predict(asset); {WRITE}"),
    ],
)
def test_what_can_never_be_called_is_said_with_what_to_write(value, why):
    assert CONTRACT.unplayable(with_method("predict", value)) == f"predict, {why}"


@pytest.mark.parametrize(("method", "why"), [(waits, ASYNC), (waits_and_yields, ASYNC), (yields, GENERATOR)])
def test_a_base_class_whose_method_would_never_run_is_no_contract(method, why):
    base = type("Mine", (Game,), {"predict": method})

    with pytest.raises(ContractError) as caught:
        Contract(base)
    assert str(caught.value) == f"{__name__}.Mine has the method predict, {why}"


def test_private_methods_of_a_base_class_are_its_own_affair():
    Contract(type("Mine", (Game,), {"_fetch": waits, "__aenter__": waits}))
