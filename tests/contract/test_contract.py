"""A contract is read from any base class; calls that break it are refused, and fitted to each model's own version."""

from __future__ import annotations

import abc
import functools
import subprocess
import sys
import typing
from abc import ABC, abstractmethod
from typing import Annotated, Any

import pandas
import pydantic
import pytest

import crunch_game
from crunch_game.contract import Contract, Mismatch
from crunch_game.contract._contract import find_class
from crunch_game.contract._stubs import is_stub
from crunch_game.errors import ContractError


class Prices(crunch_game.TrackerBase):
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: int, step: int) -> list[float]: ...


# The base classes of the games that are played today, by their shapes.


class Quarantine:
    def __init__(self, horizon: int):
        self.horizon = horizon

    def add_to_quarantine(self, time, value):
        self.value = value


class Birdgame(Quarantine):
    """Abstract methods, but no ABC; a tick of two parameters, a predict of none."""

    @abc.abstractmethod
    def tick(self, payload: dict, performance_metrics: dict):
        """Process the payload."""
        pass

    @abc.abstractmethod
    def predict(self) -> dict:
        """Generate a prediction."""
        pass

    def tick_and_predict(self, payload: dict, performance_metrics: dict) -> dict:
        self.tick(payload, performance_metrics)
        return self.predict()

    @staticmethod
    def report(log_like, bmark_log_like):
        print(log_like)


class Synth(abc.ABC):  # noqa: B024 - as it is published
    """An ABC without an abstract method; predict routes to sub-trackers, else raises."""

    def __init__(self, async_mode: bool = True):
        self.routes = []

    def track(self, horizon: int, asset: str | list[str], tracker: Any):
        self.routes.append((horizon, asset, tracker))

    def tick(self, data: dict):
        for *_, tracker in self.routes:
            tracker.tick(data)

    def predict(self, asset: str, horizon: int, step: int):
        for *_, tracker in self.routes:
            return tracker.predict(asset, horizon, step)
        raise NotImplementedError("override predict() or use track()")


class Vanta:
    """Nothing abstract: predict only raises; its parameters have names of their own."""

    def __init__(self):
        self._history: dict[str, list[dict]] = {}

    def tick(self, data: dict) -> None:
        """Receive live market data."""
        self._history.setdefault(data["symbol"], []).extend(data["candles_1m"])

    def predict(self, symbol: str, horizon_seconds: int, step_seconds: int) -> dict:
        """Produce an alpha signal."""
        raise NotImplementedError("Implement predict() in your model")


class BtcVol(ABC):
    """An ABC whose tick is the author's own."""

    @abstractmethod
    def predict(self, asset: str, horizon: int, step: int) -> typing.List[float]:  # noqa: UP006 - as it is published
        """Generate volatility predictions."""
        raise NotImplementedError("Subclasses must implement predict()")

    def tick(self, prices: dict[str, list[tuple[float, float]]]):
        self.prices = prices


class Numinous(ABC):
    """The public predict checks what the private, abstract one answers; there is no tick."""

    def predict(self, event: dict[str, Any]) -> dict[str, Any]:
        result = self._predict(event)
        if not isinstance(result, dict):
            raise ValueError(f"`_predict()` method must return a dict, but got {type(result).__name__}")
        return result

    @abstractmethod
    def _predict(self, event: dict[str, Any]) -> dict[str, Any]: ...


@pytest.mark.parametrize(
    ("base", "methods", "required"),
    [
        (Prices, ["tick", "predict"], ["predict", "tick"]),
        (Birdgame, ["add_to_quarantine", "tick", "predict", "tick_and_predict"], ["predict", "tick"]),
        (Synth, ["track", "tick", "predict"], []),
        (Vanta, ["tick", "predict"], ["predict"]),
        (BtcVol, ["predict", "tick"], ["predict"]),
        (Numinous, ["predict"], ["_predict"]),
        (crunch_game.TrackerBase, ["tick", "predict"], ["predict"]),
    ],
)
def test_the_methods_and_what_is_required_are_read_from_the_games_of_today(base, methods, required):
    contract = Contract(base)

    assert list(contract.methods) == methods
    assert list(contract.required) == required


def test_the_games_of_today_are_called_as_they_are_written():
    assert Contract(Birdgame).method("predict").bind([], {}) == ([], {})
    assert Contract(Birdgame).method("tick").bind([{"time": 1}, {}], {}) == ([{"time": 1}, {}], {})
    assert Contract(Numinous).method("predict").bind([{"event_id": "a"}], {}) == ([{"event_id": "a"}], {})
    assert Contract(Vanta).method("predict").bind(["BTC"], {"horizon_seconds": 300, "step_seconds": 15}) == (
        ["BTC"],
        {"horizon_seconds": 300, "step_seconds": 15},
    )
    ticked = Contract(BtcVol).method("tick").bind([{"BTC": [[1.0, 2]]}], {})
    assert ticked == ([{"BTC": [(1.0, 2.0)]}], {})


# What is required


class Stubs:
    def dots(self): ...

    def dots_under_a_docstring(self):
        """What it is for."""
        ...

    def raises(self):
        raise NotImplementedError

    def raises_with_a_message(self):
        """What it is for."""
        raise NotImplementedError("write your own")

    @abstractmethod
    def abstract(self):
        return 1

    @property
    @abstractmethod
    def horizon(self): ...

    @classmethod
    @abstractmethod
    def make(cls): ...

    def _private(self): ...


class Bodies:
    def docstring_only(self):
        """It is ignored unless you take it."""

    def passes(self):
        pass

    def returns(self):
        return ...

    def raises_another(self):
        raise NotImplementedErrorOfAnotherKind

    def raises_in_the_end(self):
        self.count = 1
        raise NotImplementedError

    dots_in_a_lambda = lambda self: ...  # noqa: E731

    def __enter__(self): ...


NotImplementedErrorOfAnotherKind = ValueError


def test_what_is_abstract_or_only_a_stub_is_required():
    assert Contract(Stubs).required == (
        "_private",
        "abstract",
        "dots",
        "dots_under_a_docstring",
        "horizon",
        "make",
        "raises",
        "raises_with_a_message",
    )


def test_any_other_body_is_not():
    assert Contract(Bodies).required == ()


def test_requirements_are_inherited_until_they_are_met():
    class Middle(Stubs):
        def dots(self):
            return 1

    class Own(Middle):
        def further(self): ...

    assert set(Contract(Middle).required) == set(Contract(Stubs).required) - {"dots"}
    assert set(Contract(Own).required) == set(Contract(Middle).required) | {"further"}


def test_a_decorated_stub_is_a_stub():
    def noted(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    class Base:
        @noted
        def predict(self): ...

    assert Contract(Base).required == ("predict",)


def test_what_has_no_source_is_no_stub():
    space: dict[str, Any] = {}
    exec("def predict(self): ...", space)

    assert not is_stub(space["predict"])
    assert not is_stub(len)


def test_the_source_of_what_does_more_is_not_read(monkeypatch):
    """It takes 2 ms, in every model's process."""

    class Model:
        def tick(self, data):
            self.data = data

        def predict(self, asset):
            return self.data[asset]

    def read(function):
        raise AssertionError(f"the source of {function} was read")

    monkeypatch.setattr("inspect.getsource", read)
    assert not is_stub(Model.tick)
    assert not is_stub(Model.predict)


def test_what_is_wrapped_in_a_circle_is_no_stub():
    def predict(self): ...

    predict.__wrapped__ = predict
    assert not is_stub(predict)


def test_a_class_lacks_what_it_does_not_write_itself():
    class Unchanged(Prices):
        pass

    class Half(Prices):
        def predict(self, asset, horizon, step):
            return [1.0]

    class Whole(Half):
        def tick(self, data):
            pass

    class StubOfItsOwn(Whole):
        def predict(self, asset, horizon, step):
            raise NotImplementedError

    contract = Contract(Prices)
    assert contract.lacking(Unchanged) == ["predict", "tick"]
    assert contract.lacking(Half) == ["tick"]
    assert contract.lacking(Whole) == []
    assert contract.lacking(StubOfItsOwn) == ["predict"]


def test_a_participants_dots_are_a_method_that_does_nothing_where_nothing_is_an_answer():
    class Base:
        def tick(self, data: dict) -> None: ...

        def hear(self, news): ...

        def predict(self, asset) -> float: ...

        def advise(self) -> float | None: ...

        def anything(self) -> Any: ...

    class Idle(Base):
        def tick(self, data): ...

        def hear(self, news):
            """Nothing is of interest."""
            ...

        def predict(self, asset): ...

        def advise(self): ...

        def anything(self): ...

    class Template(Base):
        def tick(self, data):
            raise NotImplementedError

        @abstractmethod
        def hear(self, news): ...

    assert Contract(Base).lacking(Idle) == ["anything", "predict"]
    assert Contract(Base, returns={"predict": None}).lacking(Idle) == ["anything"]
    assert Contract(Base).lacking(Template) == ["advise", "anything", "hear", "predict", "tick"]


def test_an_abstract_class_of_the_submission_lacks_its_own_abstract_methods():
    class Family(Vanta):
        def predict(self, symbol, horizon_seconds, step_seconds):
            return {"expected_return": self.signal(symbol)}

        @abstractmethod
        def signal(self, symbol): ...

    class Member(Family):
        def signal(self, symbol):
            return 0.1

    assert Contract(Vanta).lacking(Family) == ["signal"]
    assert Contract(Vanta).lacking(Member) == []


def test_a_private_method_can_be_what_is_lacking():
    class Public(Numinous):
        def predict(self, event):
            return {}

    class Private(Numinous):
        def _predict(self, event):
            return {}

    assert Contract(Numinous).lacking(Public) == ["_predict"]
    assert Contract(Numinous).lacking(Private) == []


def test_a_method_set_to_none_or_taken_from_a_mixin():
    class Mixin:
        def predict(self, *args):
            return []

    class Mixed(Mixin, Vanta):
        pass

    class Gone(Vanta):
        predict = None

    assert Contract(Vanta).lacking(Mixed) == []
    assert Contract(Vanta).lacking(Gone) == ["predict"]


def test_private_static_and_class_methods_are_not_called_by_games():
    assert "report" not in Contract(Birdgame).methods
    assert "_predict" not in Contract(Numinous).methods
    assert "make" not in Contract(Stubs).methods


# Finding the base class


def test_a_contract_is_made_of_a_class_or_its_name_or_itself():
    contract = Contract("crunch_game.tracker.TrackerBase")

    assert contract.base is crunch_game.TrackerBase
    assert Contract.of("crunch_game.tracker:TrackerBase").base is crunch_game.TrackerBase
    assert Contract.of(contract) is contract
    assert Contract.of(Prices).base is Prices


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("TrackerBase", "Empty module name"),
        ("nowhere.TrackerBase", "No module named 'nowhere'"),
        ("crunch_game.tracker.Tracker", "module 'crunch_game.tracker' has no attribute 'Tracker'"),
        ("crunch_game.tracker:Tracker", "module 'crunch_game.tracker' has no attribute 'Tracker'"),
    ],
)
def test_a_base_class_that_is_not_there_is_told(name, why):
    with pytest.raises(ContractError) as caught:
        find_class(name)
    assert str(caught.value) == f"the base class {name!r} cannot be found: {why}"


def test_what_is_no_class_is_told():
    with pytest.raises(ContractError) as caught:
        find_class("crunch_game.loading.load_model")
    assert str(caught.value).startswith("'crunch_game.loading.load_model' is not a class but <function load_model at ")

    with pytest.raises(ContractError, match=r"^a contract is a class or its dotted name, not 3$"):
        Contract(3)


def test_a_method_that_is_not_there_is_told_with_those_that_are():
    sentence = f"{__name__}.Prices has no method 'forecast'; it has tick, predict"

    with pytest.raises(ContractError) as caught:
        Contract(Prices).method("forecast")
    assert str(caught.value) == sentence
    with pytest.raises(ContractError) as caught:
        Contract(Prices, returns={"forecast": float})
    assert str(caught.value) == sentence

    class Empty:
        pass

    with pytest.raises(ContractError, match=r"Empty has no method 'tick'; it has none$"):
        Contract(Empty).method("tick")


def test_a_contract_shows_its_methods():
    assert repr(Contract(Prices)) == f"<Contract {__name__}.Prices: tick, predict>"


# Binding


def bind(base: type, method: str, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    return Contract(base).method(method).bind(args, kwargs)


def broken(base: type, method: str, *args: Any, **kwargs: Any) -> str:
    """The sentence of the refusal, without the module."""
    with pytest.raises(ContractError) as caught:
        bind(base, method, *args, **kwargs)
    return str(caught.value).replace(f"{__name__}.", "")


def test_positional_arguments_stay_positional():
    assert bind(Prices, "predict", "BTC", 3600, 300) == (["BTC", 3600, 300], {})
    assert bind(Prices, "predict", "BTC", step=300, horizon=3600) == (["BTC"], {"step": 300, "horizon": 3600})


def test_an_int_becomes_the_float_that_is_annotated():
    args, _ = bind(Prices, "tick", {"BTC": 63_012})

    assert args == [{"BTC": 63_012.0}]
    assert type(args[0]["BTC"]) is float


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        (("BTC", 3600), {}, "missing a required argument: 'step'"),
        (("BTC", 3600, 300, 1), {}, "too many positional arguments"),
        (("BTC", 3600, 300), {"seed": 1}, "got an unexpected keyword argument 'seed'"),
        (("BTC", 3600, 300), {"asset": "ETH"}, "multiple values for argument 'asset'"),
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_refused(args, kwargs, why):
    assert broken(Prices, "predict", *args, **kwargs) == (
        f"Prices.predict(asset: 'str', horizon: 'int', step: 'int') -> 'list[float]': {why}"
    )


def test_arguments_of_the_wrong_type_are_refused():
    assert broken(Prices, "predict", 5, 3600, 300) == (
        "Prices.predict: the argument 'asset' does not fit: Input should be a valid string, not 5"
    )
    assert broken(Prices, "predict", "BTC", 3600, step=True) == (
        "Prices.predict: the argument 'step' does not fit: Input should be a valid integer, not True"
    )
    assert broken(Prices, "tick", {"BTC": "dear"}) == (
        "Prices.tick: the argument 'data' does not fit: at ['BTC']: Input should be a valid number, not 'dear'"
    )


def test_what_is_not_annotated_is_taken_as_it_is():
    thing = object()

    assert bind(Quarantine, "add_to_quarantine", 1, thing) == ([1, thing], {})
    assert bind(crunch_game.TrackerBase, "predict", thing, args=3, kwargs=4) == ([thing], {"args": 3, "kwargs": 4})


def test_only_what_is_still_to_come_may_be_missing():
    predict = Contract(Prices).method("predict")

    assert predict.bind(["BTC"], {}, partial=True) == (["BTC"], {})
    with pytest.raises(ContractError, match="got an unexpected keyword argument 'seed'"):
        predict.bind(["BTC"], {"seed": 1}, partial=True)
    with pytest.raises(ContractError, match="the argument 'asset' does not fit"):
        predict.bind([5], {}, partial=True)


def test_what_one_model_gets_further_is_checked_together_with_the_rest():
    predict = Contract(Prices).method("predict")

    assert predict.extra(["BTC"], {"horizon": 3600}, {"step": 300}) == {"step": 300}
    with pytest.raises(ContractError, match="missing a required argument: 'step'"):
        predict.extra(["BTC"], {"horizon": 3600}, {})
    with pytest.raises(ContractError, match="the argument 'step' does not fit: Input should be a valid integer"):
        predict.extra(["BTC"], {"horizon": 3600}, {"step": 0.5})
    with pytest.raises(ContractError) as caught:
        predict.extra(["BTC"], {"horizon": 3600, "step": 300}, {"step": 60, "horizon": 60})
    assert str(caught.value) == f"{__name__}.Prices.predict: horizon, step given both to all and per model"
    with pytest.raises(ContractError, match="multiple values for argument 'asset'"):
        predict.extra(["BTC"], {"horizon": 3600, "step": 300}, {"asset": "ETH"})


# Fitting a call to a model's own version


class Growing:
    """`step` and `context` came later."""

    def predict(self, asset: str, horizon: int, step: int = 60, context: dict | None = None) -> Any: ...


class KeywordOnly:
    def predict(self, asset: str, *, horizon: int, seed: int = 0) -> Any: ...


def sent(base: type, function: Any, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """What of a call reaches a model's own version of predict."""
    predict = Contract(base).method("predict")
    return predict.fit(function)(*predict.bind(args, kwargs))


def test_a_model_that_has_what_the_base_class_has_gets_everything():
    def same(asset, horizon, step=60, context=None): ...

    assert sent(Growing, same, "BTC", 3600, 300, {}) == (["BTC", 3600, 300, {}], {})
    assert sent(Growing, same, "BTC", 3600, context={}) == (["BTC", 3600], {"context": {}})


def test_renamed_parameters_are_reached_by_position():
    def renamed(symbol, seconds): ...

    assert sent(Growing, renamed, "BTC", 3600) == (["BTC", 3600], {})
    assert sent(Growing, renamed, "BTC", horizon=3600) == (["BTC", 3600], {})
    assert sent(Growing, renamed, asset="BTC", horizon=3600) == (["BTC", 3600], {})
    assert sent(Growing, renamed, horizon=3600, asset="BTC", step=60) == (["BTC", 3600], {})


def test_an_optional_argument_is_not_sent_to_a_model_that_does_not_accept_it():
    def old(asset, horizon): ...

    assert sent(Growing, old, "BTC", 3600, 300) == (["BTC", 3600], {})
    assert sent(Growing, old, "BTC", 3600, 300, {}) == (["BTC", 3600], {})
    assert sent(Growing, old, "BTC", 3600, step=300) == (["BTC", 3600], {})


def test_each_model_gets_as_much_as_it_accepts():
    def one_more(asset, horizon, step): ...

    def the_later(asset, horizon, context=None): ...

    assert sent(Growing, one_more, "BTC", 3600, 300, {}) == (["BTC", 3600, 300], {})
    assert sent(Growing, the_later, "BTC", 3600, step=300, context={}) == (["BTC", 3600], {"context": {}})


def test_a_model_with_any_arguments_gets_everything():
    def anything(*args, **kwargs): ...

    def positions(asset, *args): ...

    def names(asset, horizon, **kwargs): ...

    assert sent(Growing, anything, "BTC", 3600, 300, context={}) == (["BTC", 3600, 300], {"context": {}})
    assert sent(Growing, positions, "BTC", 3600, 300, {}) == (["BTC", 3600, 300, {}], {})
    assert sent(Growing, names, "BTC", 3600, step=300) == (["BTC", 3600], {"step": 300})


def test_an_optional_argument_given_by_position_reaches_a_model_that_takes_it_by_name_only():
    def keyword(asset, horizon, *, step=60): ...

    def names(asset, horizon, **kwargs): ...

    assert sent(Growing, keyword, "BTC", 3600, 300, {}) == (["BTC", 3600], {"step": 300})
    assert sent(Growing, names, "BTC", 3600, 300, {}) == (["BTC", 3600], {"step": 300, "context": {}})


def test_a_name_that_a_position_has_already_filled_is_not_sent_twice():
    def step_first(step, horizon): ...

    def step_and_more(step, horizon, **kwargs): ...

    assert sent(Growing, step_first, "BTC", 3600, step=300) == (["BTC", 3600], {})
    assert sent(Growing, step_first, "BTC", 3600, 300) == (["BTC", 3600], {})
    assert sent(Growing, step_and_more, "BTC", 3600, 300) == ([], {"asset": "BTC", "horizon": 3600, "step": 300})


def test_what_a_positional_only_parameter_is_called_does_not_matter():
    def positional_only(asset, horizon, step=60, /): ...

    assert sent(Growing, positional_only, "BTC", 3600, step=300) == (["BTC", 3600], {})
    assert sent(Growing, positional_only, "BTC", 3600, 300) == (["BTC", 3600, 300], {})


def test_keyword_only_arguments_stay_keywords():
    def same(asset, *, horizon, seed=0): ...

    def old(asset, *, horizon): ...

    assert sent(KeywordOnly, same, "BTC", horizon=3600, seed=1) == (["BTC"], {"horizon": 3600, "seed": 1})
    assert sent(KeywordOnly, old, "BTC", horizon=3600, seed=1) == (["BTC"], {"horizon": 3600})


def test_too_few_parameters_are_the_models_own_fault():
    def too_few(asset): ...

    args, kwargs = sent(Growing, too_few, "BTC", 3600, 300)

    assert (args, kwargs) == (["BTC", 3600, 300], {})
    with pytest.raises(TypeError):
        too_few(*args)


def test_a_function_without_a_signature_gets_everything():
    assert sent(Growing, dict.update, "BTC", 3600, 300, context={}) == (["BTC", 3600, 300], {"context": {}})


def test_what_all_models_are_given_is_never_changed():
    def renamed(symbol, seconds): ...

    args, kwargs = ["BTC"], {"horizon": 3600, "step": 300}

    assert Contract(Growing).method("predict").fit(renamed)(args, kwargs) == (["BTC", 3600], {})
    assert (args, kwargs) == (["BTC"], {"horizon": 3600, "step": 300})


# Answers


def test_an_answer_is_read_as_the_annotated_type():
    predict = Contract(Prices).method("predict")

    assert predict.read([1, 2.5]) == [1.0, 2.5]
    with pytest.raises(Mismatch, match=r"^at \[1\]: Input should be a valid number, not 'x'$"):
        predict.read([1, "x"])


def test_nan_and_infinity_are_refused_unless_the_author_allows_them():
    class Base:
        def predict(self) -> list[Annotated[float, pydantic.AllowInfNan(True)]]: ...

    value = [float("nan")]

    with pytest.raises(Mismatch, match=r"^at \[0\] stands nan; NaN and infinity are not allowed$"):
        Contract(Prices).method("predict").read(value)
    assert Contract(Prices, allow_inf_nan=True).method("predict").read(value) is not None
    assert Contract(Base).method("predict").read(value) is not None


def test_arguments_may_hold_nan():
    [data], _ = bind(Prices, "tick", {"BTC": float("nan")})

    assert data["BTC"] != data["BTC"]


def test_what_is_annotated_as_none_is_silent():
    tick = Contract(Prices).method("tick")

    assert tick.silent
    assert tick.read("whatever") is None
    assert not Contract(Prices).method("predict").silent
    assert not Contract(Synth).method("tick").silent


def test_return_types_can_be_given_for_a_base_class_that_says_less():
    contract = Contract(Vanta, returns={"predict": dict[str, float], "tick": int})

    assert contract.overridden == ("predict", "tick")
    assert contract.method("predict").read({"expected_return": 1}) == {"expected_return": 1.0}
    assert contract.method("tick").read(3) == 3
    with pytest.raises(Mismatch):
        contract.method("predict").read({"expected_return": None})


class HalfReadable:
    def predict(self, asset: str, data: Unknown) -> float: ...  # noqa: F821 - this is what is tested


def test_an_annotation_that_cannot_be_read_is_told_and_not_checked():
    told = "HalfReadable.predict: 'data' is not checked, its annotation cannot be read: name 'Unknown' is not defined$"
    with pytest.warns(UserWarning, match=told) as caught:
        predict = Contract(HalfReadable).method("predict")

    assert len(caught) == 1
    assert predict.bind(["BTC", object()], {})
    assert predict.read(1) == 1.0
    with pytest.raises(ContractError):
        predict.bind([1, 2], {})


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (3, "3 is not a Python type"),
        ([float], "[<class 'float'>] is not a Python type"),
        (list[[float]], "[<class 'float'>] is not a Python type"),
    ],
)
def test_an_annotation_that_values_cannot_be_checked_against_is_told_before_the_first_call(annotation, why):
    class Base:
        def predict(self): ...

    Base.predict.__annotations__["return"] = annotation

    with pytest.raises(ContractError) as caught:
        Contract(Base).method("predict").prepare()
    assert f"Base.predict: the annotation of 'return' cannot be checked: {why}" in str(caught.value)


@pytest.mark.processes
def test_a_game_without_checks_loads_no_pydantic():
    program = (
        "import sys; from crunch_game.contract import Contract; from crunch_game.tracker import TrackerBase;"
        "Contract(TrackerBase).lacking(TrackerBase); print('pydantic' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == "False\n"


@pytest.mark.parametrize(
    ("annotation", "is_table"),
    [
        (pandas.DataFrame, True),
        (pandas.DataFrame | None, True),
        (typing.Optional[pandas.DataFrame], True),  # noqa: UP045 - another type than the one above
        (Annotated[pandas.DataFrame, "prices"], True),
        (Any, False),
        (object, False),
        (None, False),
        (pandas.Series, False),
        (list[pandas.DataFrame], False),
        (dict[str, float] | float, False),
    ],
)
def test_a_method_returns_a_table_if_its_annotation_is_one_or_may_be_one(annotation, is_table):
    assert Contract(Prices, returns={"predict": annotation}).method("predict").returns_table is is_table
