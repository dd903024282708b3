"""Game: the description of a game, validated once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from reprlib import repr as brief
from typing import Any, Literal

from crunch_game._asks import Ask, Predict, bind_all, check_kept, length, size, timings
from crunch_game._public import public
from crunch_game._quantities import Duration, counted, described, seconds
from crunch_game._slots import Timetable
from crunch_game.contract import Contract, Method
from crunch_game.encoding import check_plain
from crunch_game.errors import ContractError, GameError
from crunch_game.faults import describe_exception
from crunch_game.feeds import History
from crunch_game.feeds.base import Feed, Row
from crunch_game.loading import Loader
from crunch_game.models import HostLike, Model, checked_host
from crunch_game.policy import Policy
from crunch_game.ranking import DEFAULT_WINDOWS, Board, Boards, Last, Metric, Missing, Standing
from crunch_game.scoring import kinds, lift, with_steps
from crunch_game.scoring.base import Rule, ScoreFunction, Scorer
from crunch_game.storage.base import Prediction

__all__ = ["DEFAULT_METRIC", "DEFAULT_WINDOWS", "Game", "PerModelArguments", "Predict", "Resolve", "checked_feed"]

Resolve = Callable[[Prediction, History], Any]
PerModelArguments = Callable[[Model, Standing | None], Mapping[str, Any]]

DEFAULT_METRIC = "score"
"""The name of a game's metric where it has but one."""

Score = Rule | Scorer | ScoreFunction


def _prices(row: Row) -> tuple[Mapping[str, float]]:
    return (row.prices,)


@public
class Game:
    """A game: what models must do, when they are asked, what really happened, and how answers are ranked.

    Args:
        name: The game's name, and its crunch id.
        tracker: The base class (or its dotted name, or a Contract) that participants extend.
        predictions: What is asked, and when.
        resolve: `(prediction, history) -> outcome`, or None if the outcome is not known yet.
        score: A Rule, a Scorer, or a loss function `(prediction, outcome) -> float` (lower is better); for several
            metrics, one for each name. An answer that a rule says it cannot score is INVALID.
        feed: The live feed; any command can replay history instead.
        tick: Turns a row of the feed into the positional arguments of `tick`, as a tuple; by default its prices.
            With None, models are not ticked; by default they are if the base class has the method.
        per_model: `(model, standing) -> keyword arguments` of that model. Each method gets those that it has
            parameters for. The standing is None until the model has one.
        policy: Budgets and limits; by default `Policy()`.
        windows: Lengths of the leaderboard's windows by name, on the game's clock, or Last(n) rounds; by default 24
            hours, 72 hours and 7 days.
        rank_by: The window that determines the ranks; by default the longest.
        missing: Ranks by the mean of scores, where this is the score of a missing, failed or late prediction: "worst"
            of its round, a number, or a function of the round's scores. Without it, ranks are by skill.
        boards: Several boards, or one that these three cannot describe; instead of them.
        benchmarks: The ids of models that are played, ranked and shown, and never paid.
        loader: How submissions become models.
        init_args: Positional arguments of every model's constructor or factory.
        init_kwargs: Keyword arguments of the same.
        history: How far back `resolve` can look, at least the longest horizon; by default as far as there are rows.
        warmup: How much of the history a fresh instance is told before it plays; by default all of it.
        wait: How long after a slot its rows are waited for, latency and skew included; by default a tenth of `every`,
            at most 5 s. 0 waits for none.
        grace: How late, after a start, the last slot from before may be played; by default a tenth of `every` (5 s
            with "row"), at most the horizon.
        max_age: How old the newest row may be, for a slot to be played; by default `every`.
        ahead: How far after its arrival the time of a row may be; by default the longest `wait`, at least 1 s. A row
            from further ahead is set aside.
        tick_method: The method that is told the rows.
        publish: How often boards are kept as they were shown, for `leaderboard --as-published`; None for never.
        max_answer_bytes: How long an answer may be as JSON, which is how stores keep it; a longer one is INVALID. By
            default 8 MiB: 1,000 paths of 288 steps take 5.5 MB.
        host: Where its models run, whatever plays them: "process", "inline", or a Host, such as
            `ProcessHost(sandbox=...)`; by default what their roster needs, else "process".

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
        score: Score | Mapping[str, Score],
        *,
        feed: Feed | None = None,
        tick: Callable[[Row], Sequence[Any]] | None = _prices,
        per_model: PerModelArguments | None = None,
        policy: Policy | None = None,
        windows: Mapping[str, Duration | Last] | None = None,
        rank_by: str | None = None,
        missing: Missing | None = None,
        boards: Sequence[Board] | None = None,
        benchmarks: Sequence[str] = (),
        loader: Loader | None = None,
        init_args: Sequence[Any] = (),
        init_kwargs: Mapping[str, Any] | None = None,
        history: Duration | None = None,
        warmup: Duration | None = None,
        wait: Duration | None = None,
        grace: Duration | None = None,
        max_age: Duration | None = None,
        ahead: Duration | None = None,
        tick_method: str = "tick",
        publish: Duration | None = "1h",
        max_answer_bytes: int = 8 << 20,
        host: HostLike | None = None,
    ) -> None:
        self.name = _name(name)
        self.contract = Contract.of(tracker)
        self.asks = bind_all(self.contract, predictions, partial=per_model is not None)
        self.resolve: Resolve = _function(resolve, "resolve", "(prediction, history)")
        self.rules: Mapping[str, Rule] = _rules(score, getattr(resolve, "steps", None))
        self.feed: Feed | None = None if feed is None else checked_feed(feed)
        self.tick_method = tick_method
        self.tick = _tick(tick, tick_method, self.contract)
        self.per_model = None if per_model is None else _function(per_model, "per_model", "(model, standing)")
        self.policy = Policy() if policy is None else _made(policy, "policy", "Policy(timeout=1.0)", Policy)
        self.publish = None if publish is None else length(publish, "publish")
        self.max_answer_bytes = size(max_answer_bytes, "max_answer_bytes")
        rules = self.rules.values()
        self._answer_checks = [check for rule in rules if callable(check := getattr(rule, "check", None))]
        _check_kinds(self.asks, self.rules)
        self.boards = _boards(name, self.rules, boards, windows, rank_by, missing)
        self.benchmarks = _benchmarks(benchmarks)
        self.loader: Loader | None = None if loader is None else _loader(loader)
        self.host: HostLike | None = None if host is None else checked_host(host)
        self.init_args = tuple(init_args)
        self.init_kwargs = dict(init_kwargs or {})
        check_plain([self.init_args, self.init_kwargs], "the models' init arguments")
        self.history = _history_length(history, self.asks)
        self.warmup = self.history if warmup is None else timedelta(seconds=seconds(warmup, "warmup"))
        self.timings = timings(self.asks, wait, grace, max_age)
        longest = max(timing.wait for timing in self.timings)
        self._ahead = max(timedelta(seconds=1), longest) if ahead is None else length(ahead, "ahead")
        self.empty_boards()  # raises if they do not fit the rules

    def timetable(self, *, seen: datetime | None = None, decided: datetime | None = None) -> Timetable:
        """Return what decides when this game asks.

        Args:
            seen: The time of the newest row that was told before.
            decided: The last slot that was played before.
        """
        return Timetable(self.timings, ahead=self._ahead, seen=seen, decided=decided)

    @property
    def rank_by(self) -> str:
        """The window that determines the ranks of the first board."""
        return self.boards[0].rank_by or ""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What boards must know of the rules, by metric."""
        return {name: Metric(rule.higher_is_better, rule.unit) for name, rule in self.rules.items()}

    def empty_boards(self) -> Boards:
        """Return this game's boards, without a round.

        Raises:
            GameError: A board does not fit the rules or the benchmarks.
        """
        return Boards(self.boards, self.metrics, self.benchmarks)

    def check_answer(self, value: Any, ask: Ask, arguments: Mapping[str, Any]) -> None:
        """Check that an answer can be stored, and that the rules can score it.

        None needs no check where the annotation admits it.

        Args:
            value: The answer, as its annotation says.
            ask: What is asked for.
            arguments: What the model was asked.

        Raises:
            ValueError: It cannot be stored, takes more than `max_answer_bytes`, or one of the rules cannot score it.
        """
        if value is None and ask.method.may_abstain:
            return
        check_kept(value, self.max_answer_bytes)
        for check in self._answer_checks:
            check(value, arguments)

    def check_load(self) -> None:
        """Check that the budgets of the predictions fit into the time between their slots, as a live game needs.

        Raises:
            GameError: They do not.
        """
        budgets = {ask.key: self.policy.budget(ask.method.name) for ask in self.asks if ask.every is not None}
        load = sum(budgets[ask.key] / ask.every for ask in self.asks if ask.every is not None)
        if load > 1:
            kinds = Counter((budgets[ask.key], ask.every) for ask in self.asks if ask.every is not None)
            times = " and ".join(
                f"{count} × {budget:g} s every {every:g} s" for (budget, every), count in kinds.items()
            )
            raise GameError(
                f"the predictions of {self.name} cannot be played live: models may take {times}, which is "
                f"{load:.0%} of the time; give Policy(timeout=...) less, or ask less often"
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
        except KeyboardInterrupt:
            raise
        except BaseException as error:
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
            self.contract.method(self.tick_method).bind(
                self.tick_arguments(row), {}, partial=self.per_model is not None
            )

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


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or "/" in name:
        raise GameError(f"a game's name is a word for people and addresses, not {name!r}")
    return name


def _tick(tick: Any, method: str, contract: Contract) -> Any:
    """The function that makes the arguments of `tick`; None if models are not ticked."""
    if method not in contract.methods and (method != "tick" or tick not in (None, _prices)):
        raise GameError(
            f"{contract.name} has no method {method}, so nobody would be told the rows; name the one that is, "
            f"for example tick_method={_first_but(contract, 'predict')!r}, or leave tick out"
        )
    if tick is None or method not in contract.methods:
        return None
    contract.method(method).check_annotations()
    return _function(tick, "tick", "(row)")


def _first_but(contract: Contract, other: str) -> str:
    return next((name for name in contract.methods if name != other), "feed_update")


def _made(value: Any, name: str, example: str, kind: type = object) -> Any:
    """The value, which must be an instance of its kind, and no class."""
    if isinstance(value, type):
        raise GameError(f"{name} is {described(value)}; give an instance: {name}={value.__name__}(...)")
    if not isinstance(value, kind):
        raise GameError(f"{name} is {described(value)}; give a {kind.__name__}, for example {name}={example}")
    return value


def _rules(score: Any, steps: Any) -> Mapping[str, Rule]:
    """The rules by metric. `steps` says how many steps an outcome has; None for a `resolve` that does not."""
    named = score if isinstance(score, Mapping) else {DEFAULT_METRIC: score}
    if not named or not all(isinstance(name, str) and name for name in named):
        raise GameError(f'score is {described(score)}; several metrics have names, such as {{"price": CRPS()}}')
    rules = {name: lift(each) for name, each in named.items()}
    return {name: with_steps(rule, steps) for name, rule in rules.items()} if callable(steps) else rules


def _check_kinds(asks: Sequence[Ask], rules: Mapping[str, Rule]) -> None:
    """Refuse answers that the contract admits, and a rule of ours cannot score."""
    for ask in asks:
        admitted = kinds(ask.method.returns)
        for rule in rules.values():
            takes: frozenset[str] | None = getattr(rule, "takes", None)
            if admitted is None or takes is None or admitted <= takes:
                continue
            raise GameError(
                f"{ask.method.name} may answer with {_listed(admitted - takes)}, which {type(rule).__name__} cannot "
                f"score: it takes {_listed(takes)}; change the annotation of {ask.method.name}, or the rule"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _boards(
    name: str,
    rules: Mapping[str, Rule],
    boards: Any,
    windows: Any,
    rank_by: str | None,
    missing: Any,
) -> tuple[Board, ...]:
    if boards is None:
        is_normalised = next(iter(rules.values())).unit is None
        by: Literal["skill", "mean"] = "mean" if missing is not None or is_normalised else "skill"
        windows = DEFAULT_WINDOWS if windows is None else windows
        metric = next(iter(rules))
        return (Board(name, metric=metric, windows=windows, rank_by=rank_by, missing=missing, by=by),)
    for given, what in ((windows, "windows"), (rank_by, "rank_by"), (missing, "missing")):
        if given is not None:
            raise GameError(f"{what} is given beside boards; say it in each board: Board(name, {what}=...)")
    if isinstance(boards, str | Mapping) or not isinstance(boards, Sequence) or not boards:
        raise GameError(f'boards is {described(boards)}; give a list: boards=[Board("global")]')
    for board in boards:
        _made(board, "a board", 'Board("global")', Board)
    return tuple(boards)


def _benchmarks(benchmarks: Any) -> tuple[str, ...]:
    if isinstance(benchmarks, str) or not all(isinstance(each, str) for each in benchmarks):
        raise GameError(f'benchmarks is {described(benchmarks)}; give ids of models: benchmarks=["climatology"]')
    return tuple(benchmarks)


def _loader(loader: Any) -> Any:
    _made(loader, "loader", "AutoLoader()")
    if not callable(getattr(loader, "load", None)):
        raise GameError(f"loader is {described(loader)}; give a loader, for example loader=AutoLoader()")
    return loader


def _function(value: Any, name: str, arguments: str) -> Any:
    if not callable(value):
        raise GameError(f"{name} is {described(value)}; it must be a function of {arguments}")
    return value


def checked_feed(feed: Any) -> Feed:
    """The feed itself.

    Raises:
        GameError: It is none: a table, a path, a class.
    """
    _made(feed, "feed", "ReplayFeed(...)")
    if callable(getattr(feed, "rows", None)) and isinstance(getattr(feed, "live", None), bool):
        return feed  # type: ignore[no-any-return]
    replayed = repr(feed) if isinstance(feed, str | os.PathLike) else "..."
    raise GameError(f"feed is {described(feed)}; it must be a Feed, for example ReplayFeed({replayed})")


def _history_length(history: Duration | None, asks: Sequence[Ask]) -> timedelta | None:
    if history is None:
        return None
    kept, longest = seconds(history, "history"), max(ask.horizon for ask in asks)
    if kept < longest:
        raise GameError(
            f"history {history!r} is shorter than the longest horizon, {longest:g} s: nothing could resolve"
        )
    return timedelta(seconds=kept)
