"""Game: the description of a game, validated once."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from reprlib import repr as brief
from typing import Any

from crunch_game._public import public
from crunch_game._quantities import Duration, counted, seconds
from crunch_game.contract import Contract, Method
from crunch_game.errors import ContractError, GameError
from crunch_game.faults import describe_exception
from crunch_game.feeds import History
from crunch_game.feeds.base import Feed, Row
from crunch_game.loading import Loader
from crunch_game.models import Model
from crunch_game.policy import Policy
from crunch_game.scoring import Leaderboard, Missing, Standing
from crunch_game.scoring.base import ScoreFunction, Scorer
from crunch_game.storage.base import Prediction

__all__ = ["DEFAULT_WINDOWS", "Game", "PerModelArguments", "Predict", "Resolve"]

Resolve = Callable[[Prediction, History], Any]
PerModelArguments = Callable[[Model, Standing | None], Mapping[str, Any]]

DEFAULT_WINDOWS: Mapping[str, Duration] = {"recent": "24h", "steady": "72h", "anchor": "7d"}


@public
class Predict:
    """A prediction that the game asks for repeatedly.

    Args:
        every: How often, on the game's clock: as soon as possible after each whole multiple since 1970 UTC.
        horizon: How long after the round the outcome is known.
        method: The method to ask for.
        **arguments: Arguments by the base class's parameter names. A function is called with the feed's latest row,
            each time. A duration for a parameter that is annotated as a number, and any timedelta, is passed to the
            models as whole seconds.
    """

    def __init__(self, every: Duration, horizon: Duration, method: str = "predict", **arguments: Any) -> None:
        self.every = seconds(every, "Predict(every)")
        self.horizon = seconds(horizon, "Predict(horizon)")
        self.method = method
        self.arguments = arguments

    def __repr__(self) -> str:
        return f"<Predict {self.method}({_shown(self.arguments)}) every {self.every:g} s, horizon {self.horizon:g} s>"


@dataclass(frozen=True)
class Ask:
    """A Predict that is bound to the contract.

    Attributes:
        key: Its name in the store, the same in every run.
        every: Seconds from round to round.
        horizon: Seconds until the outcome is known.
        method: The contract's method.
        arguments: By parameter name, in the order of the parameters.
    """

    key: str
    every: float
    horizon: float
    method: Method
    arguments: Mapping[str, Any]

    def arguments_for(self, row: Row | None) -> dict[str, Any]:
        """Return the arguments of a round after this row."""
        parameters = self.method.signature.parameters
        return {
            name: _plain(value(row), parameters.get(name)) if callable(value) else value
            for name, value in self.arguments.items()
        }


@public
class Game:
    """A game: what models must do, when they are asked, what really happened, and how answers are ranked.

    Args:
        name: The game's name, and its crunch id.
        tracker: The base class (or its dotted name, or a Contract) that participants extend.
        predictions: What is asked, and when.
        resolve: `(prediction, history) -> outcome`, or None if the outcome is not known yet.
        score: A Scorer, or a loss function `(prediction, outcome) -> float` (lower is better).
        feed: The live feed; any command can replay history instead.
        tick: Turns a row of the feed into the positional arguments of `tick`, as a tuple; by default its prices.
            With None, models are not ticked.
        per_model: `(model, standing) -> keyword arguments` of that model. Each method gets those that it has
            parameters for. The standing is None until the model has one.
        policy: Budgets and limits; by default `Policy()`.
        windows: Lengths of the leaderboard's windows by name, on the game's clock; by default 24 hours, 72 hours and
            7 days.
        rank_by: The window that determines the ranks; by default the longest.
        missing: The score of a missing, failed or late prediction: "worst" of its round, a number, or a function of
            the round's scores.
        loader: How submissions become models.
        init_args: Positional arguments of every model's constructor or factory.
        init_kwargs: Keyword arguments of the same.
        history: How long rows are kept, at least the longest horizon; by default for ever. `resolve` sees only these.
        warmup: How much of the history a fresh instance is told before it plays; by default all of it.

    Raises:
        GameError: An argument is wrong; the message names it.
        ContractError: A prediction does not fit the contract.
    """

    def __init__(
        self,
        name: str,
        tracker: type | str | Contract,
        predictions: Sequence[Predict],
        resolve: Resolve,
        score: Scorer | ScoreFunction,
        *,
        feed: Feed | None = None,
        tick: Callable[[Row], Sequence[Any]] | None = lambda row: (row.prices,),
        per_model: PerModelArguments | None = None,
        policy: Policy | None = None,
        windows: Mapping[str, Duration] = DEFAULT_WINDOWS,
        rank_by: str | None = None,
        missing: Missing = "worst",
        loader: Loader | None = None,
        init_args: Sequence[Any] = (),
        init_kwargs: Mapping[str, Any] | None = None,
        history: Duration | None = None,
        warmup: Duration | None = None,
    ) -> None:
        if not isinstance(name, str) or not name.strip() or "/" in name:
            raise GameError(f"a game's name is a word for people and addresses, not {name!r}")
        self.name = name
        self.contract = Contract.of(tracker)
        self.asks = _bind_all(self.contract, predictions, partial=per_model is not None)
        self.resolve: Resolve = _function(resolve, "resolve", "(prediction, history)")
        self.scorer: Scorer = _scorer(score)
        self.feed: Feed | None = _feed(feed)
        self.tick = None if tick is None or "tick" not in self.contract.methods else _function(tick, "tick", "(row)")
        self.per_model = None if per_model is None else _function(per_model, "per_model", "(model, standing)")
        self.policy = policy or Policy()
        self.windows = {name: seconds(length, f"windows[{name!r}]") for name, length in windows.items()}
        if not self.windows and rank_by is None:
            raise GameError('a game has at least one window, for example windows={"anchor": "7d"}')
        self.rank_by = rank_by or max(self.windows, key=lambda name: self.windows[name])
        self.missing: Missing = _missing(missing)
        self.loader = loader
        self.init_args = tuple(init_args)
        self.init_kwargs = dict(init_kwargs or {})
        self.history = _history_length(history, self.asks)
        self.warmup = self.history if warmup is None else timedelta(seconds=seconds(warmup, "warmup"))
        self.leaderboard()  # raises if rank_by is wrong

    def leaderboard(self) -> Leaderboard:
        """Return an empty leaderboard with this game's windows and rules.

        Raises:
            GameError: `rank_by` is not one of the windows.
        """
        return Leaderboard(
            self.windows, self.rank_by, higher_is_better=self.scorer.higher_is_better, missing=self.missing
        )

    def tick_arguments(self, row: Row) -> Sequence[Any]:
        """Return the positional arguments of `tick` for a row; none if models are not ticked.

        Raises:
            GameError: The game's `tick` raises, or does not return a tuple.
        """
        if self.tick is None:
            return ()
        try:
            arguments: Sequence[Any] = self.tick(row)
        except Exception as error:
            columns = ", ".join(map(str, row.data)) or "nothing"
            when = f"{row.time:%Y-%m-%d %H:%M:%S} UTC"
            raise GameError(
                f"the tick of the game {self.name} raised {describe_exception(error)} for the row of {when}, which has "
                f"{columns}"
            ) from error
        if not isinstance(arguments, tuple | list):
            raise GameError(
                f"the tick of the game {self.name} must return a tuple of tick's arguments, "
                f'for example (row.data["x"],); it returned {brief(arguments)}'
            )
        return arguments

    def check(self, row: Row) -> None:
        """Check that this game can play a row of a feed, without calling a model.

        Raises:
            GameError: The game's `tick` raises, or does not return a tuple.
            ContractError: The arguments do not fit the contract.
        """
        if self.tick is not None:
            self.contract.method("tick").bind(self.tick_arguments(row), {}, partial=self.per_model is not None)

    def extra_for(self, method: Method, model: Model, standing: Standing | None) -> dict[str, Any]:
        """Return one model's further keyword arguments for one method.

        Raises:
            ContractError: `per_model` gave a name that no method has a parameter for.
        """
        if self.per_model is None:
            return {}
        given = self.per_model(model, standing)
        # A misspelled name would otherwise be dropped without a word, for every model.
        for name in given:
            if not any(other.takes(name) for other in self.contract.methods.values()):
                raise ContractError(f"per_model gave {name!r}, which no method of {self.contract.name} has")
        return {name: value for name, value in given.items() if method.takes(name)}

    def __repr__(self) -> str:
        return f"<Game {self.name}: {counted(len(self.asks), 'prediction')}, {self.contract.name}>"


class _Loss:
    """A loss function as a scorer."""

    higher_is_better = False

    def __init__(self, function: ScoreFunction) -> None:
        self._function = function

    def score(self, prediction: Prediction, outcome: Any) -> float:
        return self._function(prediction, outcome)


def _scorer(score: Any) -> Any:
    if callable(getattr(score, "score", None)):
        if not isinstance(getattr(score, "higher_is_better", None), bool):
            raise GameError(f"the scorer {score!r} must say higher_is_better = True or False")
        return score
    return _Loss(_function(score, "score", "(prediction, outcome)"))


def _function(value: Any, name: str, arguments: str) -> Any:
    if not callable(value):
        raise GameError(f"{name} is {value!r}; it must be a function of {arguments}")
    return value


def _feed(feed: Any) -> Any:
    if feed is None or (callable(getattr(feed, "rows", None)) and isinstance(getattr(feed, "live", None), bool)):
        return feed
    raise GameError(f"feed is {feed!r}; it must be a Feed, for example ReplayFeed({feed!r})")


def _missing(missing: Any) -> Any:
    number = isinstance(missing, int | float) and not isinstance(missing, bool) and math.isfinite(missing)
    if missing == "worst" or number or callable(missing):
        return missing
    raise GameError(f'missing is {missing!r}; it must be "worst", a finite number, or a function of (scores)')


def _history_length(history: Duration | None, asks: Sequence[Ask]) -> timedelta | None:
    if history is None:
        return None
    kept, longest = seconds(history, "history"), max(ask.horizon for ask in asks)
    if kept < longest:
        raise GameError(
            f"history {history!r} is shorter than the longest horizon, {longest:g} s: nothing could resolve"
        )
    return timedelta(seconds=kept)


def _bind_all(contract: Contract, predictions: Sequence[Predict], *, partial: bool) -> tuple[Ask, ...]:
    given = predictions if isinstance(predictions, Sequence) else [predictions]
    for prediction in given:
        if not isinstance(prediction, Predict):
            raise GameError(f"{prediction!r} is no prediction: predictions=[Predict(every=..., horizon=...)]")
    asks = tuple(_bind(contract, prediction, partial=partial) for prediction in given)
    if not asks:
        raise GameError("a game asks for at least one prediction: predictions=[Predict(every=..., horizon=...)]")
    keys = [ask.key for ask in asks]
    for key in keys:
        # Two predictions of one key would be one in the store.
        if keys.count(key) > 1:
            raise GameError(f"the prediction {key} stands twice in the game's predictions")
    return asks


def _bind(contract: Contract, prediction: Predict, *, partial: bool) -> Ask:
    method = contract.method(prediction.method)
    given = dict(prediction.arguments)
    if "horizon" in method.signature.parameters:
        # The horizon stands in Predict already; most trackers also take it as a parameter.
        given.setdefault("horizon", timedelta(seconds=prediction.horizon))
    parameters = method.signature.parameters
    ordered = {name: given.pop(name) for name in parameters if name in given} | given
    arguments = {name: _plain(value, parameters.get(name)) for name, value in ordered.items()}
    method.check_names([], arguments, partial=partial)
    method.bind([], {name: value for name, value in arguments.items() if not callable(value)}, partial=True)
    key = f"{method.name}({_shown(arguments)})"
    if "horizon" not in arguments:
        key += f" +{prediction.horizon:g}s"
    return Ask(key, prediction.every, prediction.horizon, method, arguments)


def _plain(value: Any, parameter: inspect.Parameter | None) -> Any:
    numeric = parameter is not None and parameter.annotation in (int, float, "int", "float")
    if isinstance(value, timedelta) or (numeric and isinstance(value, str)):
        return round(seconds(value, parameter.name if parameter else "an argument"))
    return value


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={'...' if callable(value) else repr(value)}" for name, value in arguments.items())
