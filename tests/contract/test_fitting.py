"""A model's parameters in any order, and by keyword only, get what their names say; renamed ones what stands there."""

from __future__ import annotations

import functools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.contract import Contract


class Asking:
    def predict(self, asset: str, horizon: int, step: int, seed: int = 0) -> Any: ...


class ByKeyword:
    def predict(self, asset: str, *, step: int) -> Any: ...


class Anything:
    def predict(self, *args: Any, **kwargs: Any) -> Any: ...


GIVEN = {"asset": "BTC", "horizon": 3600, "step": 300, "seed": 7}
METHOD = Contract(Asking).method("predict")
WAYS = [
    ((), ["asset", "horizon", "step"]),
    (("asset",), ["step", "horizon"]),
    (("asset", "horizon", "step"), []),
    (("asset", "horizon", "step", "seed"), []),
    (("asset", "horizon"), ["seed", "step"]),
]


def answers(function: Any, method: Any = METHOD, *, lenient: bool = False) -> list[Any]:
    """What the function answers to each way of giving it the same call."""
    fit = (method.fit_by_name if lenient else method.fit)(function)
    said = []
    # A caller that may know another contract keeps to the model's positions, and tries again by name.
    for positional, named in [way for way in WAYS if not lenient or "seed" not in way[0]]:
        args, kwargs = fit([GIVEN[name] for name in positional], {name: GIVEN[name] for name in named})
        said.append(function(*args, **kwargs))
    return said


@given(
    order=st.permutations(["asset", "horizon", "step"]),
    by_position=st.integers(0, 3),
    seed=st.sampled_from(["", "seed=None, ", "*, seed=None"]),
    rest=st.booleans(),
)
def test_parameters_in_any_order_get_what_their_names_say(order, by_position, seed, rest):
    by_keyword = order[by_position:]
    parameters = [*order[:by_position]]
    if by_keyword or seed.startswith("*"):
        parameters.append("*")
    parameters += by_keyword
    if seed:
        parameters.append("seed=None")
    if rest:
        parameters.append("**rest")
    function = eval(f"lambda {', '.join(parameters)}: dict(locals())")

    for said in answers(function, lenient=True):
        assert [said[name] for name in ("asset", "horizon", "step")] == ["BTC", 3600, 300]
    for said, (positional, named) in zip(answers(function), WAYS, strict=True):
        assert [said[name] for name in ("asset", "horizon", "step")] == ["BTC", 3600, 300]
        if (seed or rest) and "seed" in (*positional, *named):
            assert said.get("seed", said.get("rest", {}).get("seed")) == 7


def test_renamed_parameters_get_what_stands_there_and_the_rest_goes_by_name():
    assert answers(lambda symbol, ahead, every: (symbol, ahead, every)) == [("BTC", 3600, 300)] * 5
    assert answers(lambda symbol, step, horizon: (symbol, horizon, step)) == [("BTC", 3600, 300)] * 5
    assert answers(lambda symbol, *, step, horizon: (symbol, horizon, step)) == [("BTC", 3600, 300)] * 5
    assert answers(lambda symbol, **rest: (symbol, rest["horizon"], rest["step"])) == [("BTC", 3600, 300)] * 5
    assert answers(lambda step, **rest: (rest["asset"], rest["horizon"], step)) == [("BTC", 3600, 300)] * 5


def test_what_goes_by_position_costs_no_arranging():
    assert METHOD.fit(lambda asset, horizon, step: 0).positions == 3
    assert METHOD.fit(lambda symbol, ahead, every, chance=0: 0).positions == 4
    assert METHOD.fit(lambda *anything: 0).positions > 3
    assert METHOD.fit(lambda horizon, asset, step: 0).positions == 0


def test_an_argument_that_the_contract_has_by_keyword_is_not_taken_for_another():
    method = Contract(ByKeyword).method("predict")
    swapped = method.fit(lambda step, asset: (asset, step))

    args, kwargs = swapped(["BTC"], {"step": 300})
    assert (args, kwargs) == ([], {"asset": "BTC", "step": 300})
    assert method.fit(lambda step, x: 0).misfit == "order"


@pytest.mark.parametrize(
    ("function", "misfit"),
    [
        (lambda step, asset, x: 0, "order"),
        (lambda horizon, step: 0, "order"),
        (lambda x, y, *, asset: 0, "order"),
        (lambda asset, horizon: 0, "count"),
        (lambda asset, horizon, step, seed, more: 0, "count"),
        (lambda: 0, "count"),
        (lambda *, asset: 0, "count"),
        (lambda a, b, c: 0, None),
        (lambda a, b, c, d: 0, None),  # a game that always gives the later one can play it
        (lambda a, b, c, d, e=1: 0, None),
        (lambda *a: 0, None),
        (lambda **a: 0, None),
        (max, None),  # it does not say what it takes
        (functools.partial(lambda rate, asset, horizon, step: 0, 0.1), None),
        (functools.partial(lambda asset, horizon, step, rate: 0, rate=0.1), None),
    ],
)
def test_what_can_never_be_called_is_known_beforehand(function, misfit):
    assert METHOD.fit(function).misfit == misfit


def test_a_contract_of_any_arguments_refuses_nothing():
    method = Contract(Anything).method("predict")

    for function in (lambda: 0, lambda a, b: 0, lambda *, step: 0):
        assert method.fit(function).misfit is None


def passing(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def with_luck(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(random.Random(0), *args, **kwargs)

    return wrapper


def fewer(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(asset: str, horizon: int, step: int) -> Any:
        return function(step, asset), horizon

    return wrapper


def by_position(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def test_a_decorator_that_passes_on_what_it_gets_is_looked_through():
    assert answers(passing(lambda horizon, asset, step: (asset, horizon, step))) == [("BTC", 3600, 300)] * 5
    assert METHOD.fit(passing(lambda horizon, asset: 0)).misfit is None  # it might give more, or less


def test_a_decorator_that_gives_or_takes_away_is_trusted():
    @with_luck
    def lucky(luck, asset, horizon, step):
        return asset, horizon, step

    @fewer
    def short(step, asset):
        return asset, step

    assert METHOD.fit(lucky).misfit is None
    assert METHOD.fit(short).misfit is None
    for positional, named in WAYS[2:3]:
        args, kwargs = METHOD.fit(lucky)([GIVEN[name] for name in positional], {name: GIVEN[name] for name in named})
        assert lucky(*args, **kwargs) == ("BTC", 3600, 300)
        args, kwargs = METHOD.fit(short)([GIVEN[name] for name in positional], {name: GIVEN[name] for name in named})
        assert short(*args, **kwargs) == (("BTC", 300), 3600)


def test_names_behind_a_decorator_that_takes_positions_only_cannot_be_reached():
    assert METHOD.fit(by_position(lambda horizon, asset, step: 0)).misfit == "order"
    assert METHOD.fit(by_position(lambda asset, horizon, step: 0)).misfit is None
