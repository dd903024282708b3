"""One model is called as its own version of a method wants to be."""

from __future__ import annotations

import pytest

from crunch_game.contract import Contract
from crunch_game.hosts._calling import Callee, NotOffered


class Game:
    def tick(self, data: dict) -> None: ...

    def predict(self, asset: str, step: int = 60) -> float: ...


class Model(Game):
    def tick(self, prices):
        self.prices = prices
        return "ignored"

    def predict(self, symbol):
        return self.prices[symbol]


def test_arguments_reach_a_model_that_renamed_them_and_takes_fewer():
    callee = Callee(Model(), Contract(Game))

    callee.call("tick", [{"BTC": 1.5}], {})

    assert callee.call("predict", ["BTC", 300], {}) == 1.5
    assert callee.call("predict", [], {"asset": "BTC", "step": 300}) == 1.5


def test_what_a_silent_method_returns_is_ignored():
    assert Callee(Model(), Contract(Game)).call("tick", [{}], {}) is None


def test_a_method_that_the_model_lacks_is_told():
    class Bare:
        tick = 3

    for method in ("tick", "predict"):
        with pytest.raises(NotOffered) as caught:
            Callee(Bare(), Contract(Game)).call(method, [], {})
        assert str(caught.value) == f"the model, of class Bare, has no method {method}"


def test_what_the_model_raises_comes_through():
    callee = Callee(Model(), Contract(Game))
    callee.call("tick", [{"BTC": 1.0}], {})

    with pytest.raises(KeyError, match="'ETH'"):
        callee.call("predict", ["ETH"], {})


def test_a_method_may_stand_on_the_instance_itself():
    model = Model()
    model.predict = lambda asset, **rest: (asset, rest)

    assert Callee(model, Contract(Game)).call("predict", ["BTC"], {"step": 1}) == ("BTC", {"step": 1})


# Callers that know another version of the base class


class Grown(Game):
    def tick(self, data, volume=None, *, venue="here"):
        return "ignored"

    def predict(self, asset, **rest):
        return asset, rest

    def explain(self, depth):
        return depth


def test_a_lenient_callee_is_asked_whatever_it_has():
    callee = Callee(Grown(), Contract(Game), lenient=True)

    assert callee.call("explain", [3], {}) == 3
    with pytest.raises(NotOffered):
        callee.call("confess", [], {})


def test_a_lenient_callee_gets_no_keyword_argument_that_it_does_not_take():
    callee = Callee(Grown(), Contract(Game), lenient=True)

    assert callee.call("explain", [], {"depth": 3, "width": 4}) == 3
    assert callee.call("explain", [3], {"depth": 4}) == 3  # given by position already
    assert callee.call("predict", ["BTC"], {"step": 60, "whatever": 1}) == ("BTC", {"step": 60, "whatever": 1})
    with pytest.raises(TypeError, match="positional argument"):
        callee.call("explain", [3, 4], {})


def test_what_a_silent_method_returns_is_ignored_by_lenient_ones_too():
    assert Callee(Grown(), Contract(Game), lenient=True).call("tick", [{}], {"unknown": 1}) is None
