"""A game is described once, checked once, and every mistake in it is a sentence."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from crunch_game import (
    CRPS,
    AutoLoader,
    Contract,
    Game,
    InlineHost,
    Policy,
    Predict,
    ProcessHost,
    ReplayFeed,
    Row,
    Sandbox,
    Standing,
    TrackerBase,
)
from crunch_game.errors import ContractError, GameError
from crunch_game.game import DEFAULT_WINDOWS
from crunch_game.models import Model, Submission
from crunch_game.resolving import Path, Return
from crunch_game.scoring import InField, LogScore, MinusBest, Sum, normal


class Base:
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: int, step: int = 60) -> list[float]: ...

    def guess(self, horizon_seconds: int, weight: float = 1.0) -> float: ...

    def answer(self) -> dict: ...


class Quadratic:
    higher_is_better = False

    def score(self, prediction, outcome):
        return (prediction.value - outcome) ** 2


class NoPredict:
    def tick(self, prices: dict[str, float]) -> None: ...


BASE = f"{__name__}.Base"
HOURLY = Predict(every="1h", horizon="2h", asset="BTC")
A_HOST = 'it must be "process", "inline" or a Host, such as ProcessHost()'
TABLE = pd.DataFrame({"time": [1, 2], "BTC": [1.0, 2.0]})
ROW = Row(datetime(2024, 1, 1, tzinfo=UTC), {"BTC": 5.0, "name": "x", "flag": True})


def game(*predictions: Any, **options: Any) -> Game:
    given = {"name": "test", "tracker": Base, "resolve": lambda p, h: None, "score": lambda p, o: 0.0}
    return Game(**given | {"predictions": list(predictions) or [HOURLY]} | options)


def refused(error: type[Exception], *predictions: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        game(*predictions, **options)
    return str(caught.value)


# What models are asked with.


def test_durations_reach_models_as_whole_seconds():
    [ask] = game(Predict("1h", timedelta(hours=2), asset="BTC", step="5m")).asks
    assert dict(ask.arguments) == {"asset": "BTC", "horizon": 7200, "step": 300}
    assert all(type(ask.arguments[name]) is int for name in ("horizon", "step"))
    assert (ask.every, ask.horizon) == (3600.0, 7200.0)
    [ask] = game(Predict(60, 90, "guess", horizon_seconds=timedelta(seconds=90))).asks
    assert dict(ask.arguments) == {"horizon_seconds": 90}


def test_a_duration_below_a_second_reaches_a_float_as_it_is_and_is_no_int():
    [ask] = game(Predict("1h", "2h", "guess", horizon_seconds=90, weight="500ms")).asks
    assert ask.arguments["weight"] == 0.5
    [ask] = game(Predict("1h", "2h", "guess", horizon_seconds=90, weight=timedelta(milliseconds=1500))).asks
    assert ask.arguments["weight"] == 1.5
    message = "{} is {} s, but the base class says int: give whole seconds, or let it say float"
    assert refused(GameError, Predict("1h", "2h", asset="BTC", step="500ms")) == message.format("step", 0.5)
    assert refused(GameError, Predict("1s", "500ms", asset="BTC")) == message.format("horizon", 0.5)
    assert refused(GameError, Predict("1h", "1500ms", asset="BTC")) == message.format("horizon", 1.5)


def test_a_function_of_the_row_is_held_to_the_same():
    [ask] = game(Predict("1h", "2h", asset="BTC", step=lambda row: row.data["step"])).asks
    steps = [ask.arguments_for(Row(ROW.time, {"step": step}))["step"] for step in ("2m", timedelta(seconds=3), 5.0)]
    assert (steps, {type(step) for step in steps}) == ([120, 3, 5], {int})
    with pytest.raises(GameError, match=r"^step is 0\.5 s, but the base class says int"):
        ask.arguments_for(Row(ROW.time, {"step": "500ms"}))


def test_a_float_that_is_whole_will_do_for_an_int():
    [ask] = game(Predict("1h", "2h", asset="BTC", step=900.0)).asks
    assert (ask.arguments["step"], type(ask.arguments["step"])) == (900, int)
    assert ask.key == "predict(asset='BTC', horizon=7200, step=900)"
    assert "step" in refused(ContractError, Predict("1h", "2h", asset="BTC", step=900.5))


@pytest.mark.parametrize(
    ("prediction", "sentence"),
    [
        (
            Predict("1h", "2h", "guess", horizon_seconds=9, weight="n/a"),
            "weight is 'n/a', but the base class says float",
        ),
        (Predict("1h", "2h", asset="BTC", step="900"), "step is '900', but the base class says int"),
    ],
)
def test_text_that_is_no_number(prediction, sentence):
    assert refused(GameError, prediction) == f'{sentence}: give a number, or a duration such as "1h"'


def test_text_for_a_parameter_of_text_is_no_duration():
    [ask] = game(Predict("1h", "1h", asset="1h")).asks
    assert ask.arguments["asset"] == "1h"


def test_horizon_is_bound_only_where_the_method_has_one():
    asks = game(HOURLY, Predict("1h", "1h", "answer"), Predict("1h", "1h", "guess", horizon_seconds="1m")).asks
    assert [list(ask.arguments) for ask in asks] == [["asset", "horizon"], [], ["horizon_seconds"]]


def test_arguments_come_in_the_order_of_the_parameters():
    one, other = (
        game(Predict("1h", "2h", **given)).asks[0] for given in ({"asset": "A", "step": 5}, {"step": 5, "asset": "A"})
    )
    assert list(one.arguments) == list(other.arguments) == ["asset", "horizon", "step"]
    assert one.key == other.key == "predict(asset='A', horizon=7200, step=5)"


def test_a_function_of_the_row_gives_an_argument_anew_each_time():
    [ask] = game(Predict("1h", "2h", asset=lambda row: row.data["name"], step=lambda row: timedelta(minutes=5))).asks
    assert ask.key == "predict(asset=..., horizon=7200, step=...)"
    assert ask.arguments_for(ROW) == {"asset": "x", "horizon": 7200, "step": 300}


def test_the_key_tells_horizons_apart_that_the_method_is_not_told():
    assert [ask.key for ask in game(Predict("1h", "1h", "answer"), Predict("1h", "2h", "answer")).asks] == [
        "answer() +3600s",
        "answer() +7200s",
    ]


def test_a_row_gives_its_numbers_to_tick():
    assert game().tick(ROW) == ({"BTC": 5.0},)
    assert game(tick=None).tick is None
    assert game(Predict("1h", "1h", "ask"), tracker=type("T", (), {"ask": lambda self: None})).tick is None


@pytest.mark.parametrize(
    ("made", "shown"),
    [(5.0, "5.0"), ({"BTC": 5.0}, "{'BTC': 5.0}"), ("BTC", "'BTC'"), (None, "None")],
)
def test_a_tick_that_returns_no_tuple(made, shown):
    described = game(tick=lambda row: made)
    for use in (described.tick_arguments, described.check):
        with pytest.raises(GameError) as caught:
            use(ROW)
        assert str(caught.value) == (
            "the tick of the game test must return a tuple of tick's arguments, "
            f'for example (row.data["x"],); it returned {shown}'
        )
    assert game(tick=lambda row: [row.prices]).tick_arguments(ROW) == [{"BTC": 5.0}]


def test_what_is_left_out_has_a_default():
    described = game()
    assert described.policy == Policy()
    [board] = described.boards
    assert (board.name, board.by, list(board.windows)) == ("test", "skill", list(DEFAULT_WINDOWS))
    assert described.rank_by == board.rank_by == "anchor"
    assert (described.history, described.warmup, described.feed) == (None, None, None)
    assert game(history="3h").warmup == timedelta(hours=3)
    assert game(history="3h", warmup="1h").warmup == timedelta(hours=1)
    assert repr(described) == f"<Game test: 1 prediction, {BASE}>"
    assert repr(HOURLY) == "<Predict predict(asset='BTC') every 3600 s, horizon 7200 s>"


def test_a_function_is_a_loss_and_a_scorer_says_its_direction():
    [(metric, rule)] = game().rules.items()
    assert (metric, rule.higher_is_better, rule.unit) == ("score", False, "usual")
    assert game(score=lambda p, o: o - 1).rules["score"].scorer.score(None, 3) == 2
    crps = CRPS()
    assert game(score=crps).rules["score"] is crps


PATHS = game(resolve=Path(), score=CRPS())
SUMS = {
    "a sum": Sum(CRPS(), CRPS()),
    "in the field": InField(CRPS(), MinusBest()),
    "both": InField(Sum(CRPS(), LogScore()), MinusBest()),
    "a rule": CRPS(),
}


@pytest.mark.parametrize("rule", SUMS.values(), ids=SUMS)
def test_an_answer_has_as_many_steps_as_the_game_resolves(rule):
    densities = [normal(0.0, 1.0)] * 4
    asked = {"asset": "BTC", "horizon": 3600, "step": 900}
    path, one = game(resolve=Path(), score=rule), game(resolve=Return(), score=rule)
    path.check_answer(densities, path.asks[0], asked)
    one.check_answer(densities[0], one.asks[0], asked)
    with pytest.raises(ValueError, match=r"^the answer must have 4 steps, got 1$"):
        path.check_answer(densities[0], path.asks[0], asked)
    with pytest.raises(ValueError, match=r"^the answer must have 1 step, got 4$"):
        one.check_answer(densities, one.asks[0], asked)


def test_a_rule_that_was_told_its_steps_keeps_them():
    told = CRPS(steps=2)
    assert game(resolve=Path(), score=told).rules["score"] is told


def test_where_nobody_says_how_many_steps_there_are_it_shows_at_scoring():
    for described, asked in (
        (game(score=CRPS()), {"horizon": 3600, "step": 900}),
        (PATHS, {}),
        (PATHS, {"horizon": 7, "step": 2}),
    ):
        described.check_answer([normal(0.0, 1.0)] * 3, described.asks[0], asked)


def test_a_scorer_of_an_authors_own_checks_on_arrival():
    class Positive(Quadratic):
        def check(self, value, arguments):
            if value < 0:
                raise ValueError(f"{value} is not positive")

    described = game(score=Positive())
    described.check_answer(1.0, described.asks[0], {})
    with pytest.raises(ValueError, match=r"^-1.0 is not positive$"):
        described.check_answer(-1.0, described.asks[0], {})


def test_a_tracker_is_a_class_its_name_or_a_contract():
    contract = Contract(Base)
    assert game(tracker=contract).contract is contract
    assert game(tracker="crunch_game.tracker.TrackerBase").contract.base is TrackerBase


# What is wrong, word for word.


@pytest.mark.parametrize("given", [{"init_args": [date(2026, 1, 1)]}, {"init_kwargs": {"since": date(2026, 1, 1)}}])
def test_a_game_whose_models_would_be_made_with_something_else_than_it_gives(given):
    assert refused(ContractError, **given) == (
        "the models' init arguments hold a date, which models would get as a str; give plain values, arrays or "
        "DataFrames, and have the model make of them what it needs"
    )


def test_a_game_without_predict():
    assert refused(ContractError, tracker=NoPredict) == f"{__name__}.NoPredict has no method 'predict'; it has tick"


def test_an_unknown_method():
    found = refused(ContractError, Predict("1h", "1h", "foresee"))
    assert found == f"{BASE} has no method 'foresee'; it has tick, predict, guess, answer"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"asset": "BTC", "coin": 1}, "got an unexpected keyword argument 'coin'"),
        ({}, "missing a required argument: 'asset'"),
    ],
)
def test_arguments_that_do_not_fit_the_signature(arguments, sentence):
    signature = "(asset: 'str', horizon: 'int', step: 'int' = 60) -> 'list[float]'"
    assert refused(ContractError, Predict("1h", "1h", **arguments)) == f"{BASE}.predict{signature}: {sentence}"


def test_an_argument_of_the_wrong_type():
    found = refused(ContractError, Predict("1h", "1h", asset=5))
    assert found == f"{BASE}.predict: the argument 'asset' does not fit: Input should be a valid string, not 5"


def test_an_argument_that_is_missing_may_come_per_model():
    assert game(Predict("1h", "1h"), per_model=lambda model, standing: {"asset": "BTC"}).asks


def test_the_same_prediction_twice():
    found = refused(GameError, HOURLY, Predict("5m", "2h", asset="BTC"))
    assert found == "the prediction predict(asset='BTC', horizon=7200) stands twice in the game's predictions"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"predictions": []}, "a game asks for at least one prediction: predictions=[Predict(every=..., horizon=...)]"),
        (
            {"predictions": HOURLY},
            None,
        ),
        ({"predictions": ["1h"]}, "'1h' is no prediction: predictions=[Predict(every=..., horizon=...)]"),
        ({"predictions": Predict}, "the class Predict is no prediction: predictions=[Predict(every=..., horizon=...)]"),
        ({"predictions": 5}, "5 is no prediction: predictions=[Predict(every=..., horizon=...)]"),
        ({"name": ""}, "a game's name is a word for people and addresses, not ''"),
        ({"name": "a/b"}, "a game's name is a word for people and addresses, not 'a/b'"),
        ({"name": 5}, "a game's name is a word for people and addresses, not 5"),
        ({"resolve": "later"}, "resolve is 'later'; it must be a function of (prediction, history)"),
        ({"score": 5}, "score is 5; it must be a rule, a scorer, or a function of (prediction, outcome)"),
        ({"score": CRPS}, "score is the class CRPS; give an instance: score=CRPS(...)"),
        ({"score": Quadratic}, "score is the class Quadratic; give an instance: score=Quadratic(...)"),
        ({"policy": Policy}, "policy is the class Policy; give an instance: policy=Policy(...)"),
        ({"policy": {"timeout": 1}}, "policy is {'timeout': 1}; give a Policy, for example policy=Policy(timeout=1.0)"),
        ({"loader": AutoLoader}, "loader is the class AutoLoader; give an instance: loader=AutoLoader(...)"),
        ({"loader": "build"}, "loader is 'build'; give a loader, for example loader=AutoLoader()"),
        ({"feed": ReplayFeed}, "feed is the class ReplayFeed; give an instance: feed=ReplayFeed(...)"),
        ({"feed": TABLE}, "feed is an instance of DataFrame; it must be a Feed, for example ReplayFeed(...)"),
        ({"windows": ["7d"]}, """board 'test': windows is ['7d']; give lengths by name, such as {"anchor": "7d"}"""),
        ({"host": ProcessHost}, "host is the class ProcessHost; give an instance: host=ProcessHost(...)"),
        ({"host": "docker"}, f"host is 'docker'; {A_HOST}"),
        ({"host": Sandbox()}, f"host is an instance of Sandbox; {A_HOST}"),
        ({"host": TABLE}, f"host is an instance of DataFrame; {A_HOST}"),
        ({"tick": "prices"}, "tick is 'prices'; it must be a function of (row)"),
        ({"per_model": {"a": 1}}, "per_model is {'a': 1}; it must be a function of (model, standing)"),
        ({"feed": "x.csv"}, "feed is 'x.csv'; it must be a Feed, for example ReplayFeed('x.csv')"),
        ({"windows": {}}, 'board \'test\': it has no window; give one, for example windows={"anchor": "7d"}'),
        ({"rank_by": "year"}, "board 'test': rank_by 'year' is not a window; the windows are recent, steady, anchor"),
        ({"windows": {}, "rank_by": "year"}, "board 'test': rank_by 'year' is not a window; the windows are none"),
        ({"missing": "best"}, """board 'test': missing is "worst", a number or a function, not 'best'"""),
        ({"missing": math.nan}, "board 'test': the rule for missing predictions must give a finite number, got nan"),
        ({"history": "1h"}, "history '1h' is shorter than the longest horizon, 7200 s: nothing could resolve"),
        (
            {"history": "soon"},
            """history 'soon' is not a duration; write seconds, or text such as "90s", "1h" or "7d\"""",
        ),
        ({"warmup": 0}, "warmup 0 must be longer than zero and finite"),
        (
            {"windows": {"day": "1 day"}},
            """windows['day'] '1 day' is not a duration; write seconds, or text such as "90s", "1h" or "7d\"""",
        ),
        ({"windows": {"day": -1}}, "windows['day'] -1 must be longer than zero and finite"),
    ],
)
def test_a_part_that_is_wrong_is_named(options, sentence):
    if sentence is None:
        assert len(game(**options).asks) == 1  # a single prediction needs no list
        return
    assert refused(GameError, **options) == sentence


@pytest.mark.parametrize("host", [None, "process", "inline", InlineHost(), ProcessHost(sandbox=None)])
def test_a_host_is_kept_as_it_is_given(host):
    assert game(host=host).host is host


@pytest.mark.parametrize("higher", [None, 1])
def test_a_scorer_must_say_its_direction(higher):
    class Scorer:
        def score(self, prediction, outcome):
            return 0.0

        def __repr__(self) -> str:
            return "Scorer()"

    if higher is not None:
        Scorer.higher_is_better = higher
    assert refused(GameError, score=Scorer()) == "the scorer Scorer() must say higher_is_better = True or False"


@pytest.mark.parametrize(
    ("every", "horizon", "sentence"),
    [
        (
            "soon",
            "1h",
            """Predict(every) 'soon' is not a duration; write seconds, or text such as "90s", "1h" or "7d\"""",
        ),
        (0, "1h", "Predict(every) 0 must be longer than zero and finite"),
        ("1h", math.inf, "Predict(horizon) inf must be longer than zero and finite"),
        ("1h", timedelta(-1), "Predict(horizon) datetime.timedelta(days=-1) must be longer than zero and finite"),
        ("1h", None, """Predict(horizon) None is not a duration; write seconds, a timedelta, or text such as "1h\""""),
        (True, "1h", """Predict(every) True is not a duration; write seconds, a timedelta, or text such as "1h\""""),
    ],
)
def test_bad_durations(every, horizon, sentence):
    with pytest.raises(GameError) as caught:
        Predict(every, horizon)
    assert str(caught.value) == sentence


# Per model.


def test_each_method_gets_those_of_the_per_model_arguments_that_it_has():
    standing = Standing(1, "ada", {"anchor": 0.5}, 1.0, 1, 1)
    seen = []

    def per_model(model, place):
        seen.append((model.id, place))
        return {"weight": 2.0, "step": 30}

    described = game(per_model=per_model)
    ada = Model(Submission("ada", Base), 0.0)
    contract = described.contract
    assert described.extra_for(contract.method("predict"), ada, standing) == {"step": 30}
    assert described.extra_for(contract.method("guess"), ada, None) == {"weight": 2.0}
    assert described.extra_for(contract.method("tick"), ada, None) == {}
    assert seen == [("ada", standing), ("ada", None), ("ada", None)]
    assert game().extra_for(contract.method("predict"), ada, None) == {}


def test_a_per_model_argument_that_no_method_has():
    described = game(per_model=lambda model, standing: {"pet": "cat"})
    with pytest.raises(ContractError) as caught:
        described.extra_for(described.contract.method("predict"), Model(Submission("ada", Base), 0.0), None)
    assert str(caught.value) == f"per_model gave 'pet', which no method of {BASE} has"
