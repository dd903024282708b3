"""ModelRunner: the one way to call every model of a game at once."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, Self

import anyio
from anyio.abc import TaskGroup

from crunch_game import _rounds as rounds
from crunch_game import events
from crunch_game._importing import alias_main
from crunch_game._public import public
from crunch_game._quantities import described
from crunch_game._retelling import Pace, Retelling, retelling, tell
from crunch_game._rounds import MethodCall, PerModel
from crunch_game.contract import Contract
from crunch_game.encoding import check_plain
from crunch_game.errors import GameError, UsageError
from crunch_game.hosts import give_back, host_of, take
from crunch_game.hosts.base import Call, Host, Setup, TellingHost
from crunch_game.lineup import Fresh, Lineup, Observer, Player
from crunch_game.loading import AutoLoader, Loader
from crunch_game.models import Model, Submission
from crunch_game.outcomes import Outcome, Round, Status
from crunch_game.policy import Cause, Policy
from crunch_game.rosters.base import Roster
from crunch_game.sources import SourceLike

__all__ = ["JoinHook", "MethodCall", "ModelRunner", "Models", "PerModel", "Retelling", "Selection"]

logger = logging.getLogger("crunch_game")

Models = Roster | str | os.PathLike[str] | Iterable[SourceLike | Submission]
Selection = Iterable[str] | Callable[[Model], bool]
JoinHook = Callable[[Model, "ModelRunner"], Awaitable[Any]]


@public
class ModelRunner:
    """Runs the models of a game, each isolated, and calls them all at once under time budgets.

    Used as `async with`, on asyncio and on trio. It enters once every initial model is ready or has failed, or
    after `ready_timeout`; the rest join when they are ready. Leaving it ends every process that it started.

    Args:
        contract: The game's base class: any class, its dotted name, or a Contract.
        models: A Roster; a folder, which is watched; or submissions (classes, paths, "package.module:attr").
        host: Where models run: "process", "inline", or a Host, which runners may share. None is the roster's own, else
            "process".
        policy: Budgets, limits, and what happens at them.
        loader: How a submission becomes a model.
        init_args: For every model's constructor or factory.
        init_kwargs: The same, by keyword.
        on_event: Called with a frozen record for everything that happens (see `crunch_game.events`). Without it,
            what goes wrong is logged as a warning.
        ready_timeout: Seconds to wait for the initial models.

    Raises:
        ContractError: The base class is no contract, or (on entering) cannot be imported by other processes.
        GameError: The models cannot be found.
    """

    def __init__(
        self,
        contract: type | str | Contract,
        models: Models,
        *,
        host: Host | Literal["process", "inline"] | None = None,
        policy: Policy | None = None,
        loader: Loader | None = None,
        init_args: Sequence[Any] = (),
        init_kwargs: Mapping[str, Any] | None = None,
        on_event: Callable[[events.RunnerEvent], Any] | None = None,
        ready_timeout: float = 5.0,
    ) -> None:
        self.contract = Contract.of(contract)
        for method in self.contract.methods.values():
            method.prepare()
            if method.name in self.contract.required:
                method.check_annotations()
        self.policy = policy or Policy()
        self._roster = roster_of(models)
        self._host = host_of(host or self._roster.host() or "process")
        check_plain([*init_args, dict(init_kwargs or {})], "the models' init arguments")
        self._setup = Setup(self.contract, loader or AutoLoader(), init_args, dict(init_kwargs or {}))
        self._on_event = on_event
        self._ready_timeout = ready_timeout
        self._hooks: list[JoinHook] = []
        self._lineup: Lineup | None = None
        self._tasks: TaskGroup | None = None
        self._fresh: Fresh | None = None
        """The instance that only this runner reaches: the one that an `on_join` is given."""

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise UsageError("a ModelRunner is entered once; make another one")
        self._host = take(self._host)
        alias_main()
        self._pace, self._tasks = Pace(), anyio.create_task_group()
        await self._tasks.__aenter__()
        observers: list[Observer] = []
        if self.policy.capsules is not None:
            from crunch_game.capsules import Recorder

            folder = Path(self.policy.capsules)
            observers.append(
                Recorder(folder, self._setup, self._host, self.policy.setup_timeout, self._emit, self._tasks)
            )
        self._lineup = Lineup(
            self._roster, self._host, self._setup, self.policy, self._introduce, self._emit, observers, self._tasks
        )
        try:
            await self._tasks.start(self._lineup.follow)
            with anyio.move_on_after(self._ready_timeout):
                await self._lineup.settled()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End everything; raises what a task of the runner failed with, rather than the cancellation it caused."""
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        if self._lineup is not None:
            self._lineup.close()
        try:
            if isinstance(error, anyio.get_cancelled_exc_class()):
                if await self._tasks.__aexit__(type(error), error, error.__traceback__):
                    raise RuntimeError("the runner was cancelled by one of its own tasks; the game cannot go on")
            else:
                await self._tasks.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            raise _only(group) from None
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await self._host.close()
            finally:
                give_back(self._host)

    # The models.

    @property
    def models(self) -> Mapping[str, Model]:
        """Every model of the roster by id, stopped and failed ones too."""
        if self._lineup is None:
            raise UsageError(_NOT_RUNNING)
        return _Models(self._lineup)

    async def stop(self, model_id: str, reason: str, *, report: bool = True) -> None:
        """Take a model out of the game, until it has a new deployment or is readmitted.

        Args:
            model_id: The model.
            reason: A sentence for its participant.
            report: Whether a roster that others keep is told of it.

        Raises:
            UnknownModel: It was never in the game.
        """
        seat = self._entered.seat(model_id)
        if seat is not None:
            await self._entered.stop(seat, reason, Cause.AUTHOR if report else None)

    async def readmit(self, model_id: str) -> None:
        """Start a model afresh, with clean strikes.

        Raises:
            UnknownModel: It was never in the game.
        """
        seat = self._entered.seat(model_id)
        if seat is not None:
            self._entered.readmit(seat)

    def on_join(self, hook: JoinHook) -> JoinHook:
        """Await `hook(model, runner)` for every fresh instance before it plays, after a restart too.

        The hook's runner is this one, with one difference: its calls to that model reach the fresh instance, so that
        history can be replayed to it. Calls by any other runner, this one included, reach who plays, if anyone does.
        Tasks that the hook starts may keep its runner: once the instance plays, or has been given up, the difference is
        gone. If the hook raises, the model counts as failed to load. Works as a decorator.
        """
        self._hooks.append(hook)
        return hook

    async def _introduce(self, fresh: Fresh) -> None:
        bound = copy.copy(self)  # shallow: models, hooks and tasks are the same
        bound._fresh = fresh
        for hook in self._hooks:
            await hook(fresh.model, bound)

    # Calls.

    async def call(
        self,
        method: str,
        *args: Any,
        models: Selection | None = None,
        per_model: PerModel | None = None,
        timeout: float | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Round:
        """Ask one method of every model at once.

        A model that is still at an earlier call, within that one's budget, is asked after it; its budget begins then.

        Args:
            method: A method of the contract.
            *args: For the method; they stay positional.
            models: Ids, or a predicate on Model; the whole roster unless given. An empty one calls nobody.
            per_model: Gives a model's further keyword arguments.
            timeout: Seconds that every model has; the policy's budget unless given.
            key: What strikes are counted under; the method's name unless given.
            **kwargs: For the method.

        Returns:
            One outcome for every model asked, by the budget.

        Raises:
            ContractError: The contract has no such method, or the arguments do not fit it. No model was called.
            UnknownModel: An id was never in the game.
            UsageError: The runner is not running.
        """
        began = time.monotonic()
        call, players = self._prepare(MethodCall(method, args, kwargs, timeout, per_model, key), self._selected(models))
        outcomes: dict[str, Outcome] = {}
        async with aclosing(self._play(call, players, each=False)) as batches:
            async for batch in batches:
                for outcome in batch:
                    outcomes[outcome.model_id] = outcome
        ordered = {player.model.id: outcomes[player.model.id] for player in players}
        return Round(method, ordered, time.monotonic() - began)

    async def batch(self, calls: Sequence[MethodCall], *, models: Selection | None = None) -> list[Round]:
        """Ask several calls of every model at once, through which each works in their order and at its own pace.

        Each call has its own budget, which begins when the model gets to it: call `k` is over at the latest after the
        first `k` budgets, and a model that is slow makes no other wait. Strikes are counted once everything is in.

        Args:
            calls: What is asked.
            models: Ids, or a predicate on Model; the whole roster unless given. An empty one calls nobody.

        Returns:
            A round for each call, in their order, with one outcome for every model asked.

        Raises:
            ContractError: As `call`, of any of them. No model was called.
            UnknownModel: An id was never in the game.
            UsageError: The runner is not running.
        """
        lineup, selected = self._entered, list(self._selected(models))
        prepared = [self._prepare(each, selected) for each in calls]
        asked, players = [call for call, _ in prepared], [own for _, own in prepared]
        return await rounds.play_together(asked, players, self._host, self.policy, lineup.observers, lineup.enact)

    def retelling(self, calls: Sequence[MethodCall]) -> Retelling:
        """Prepare calls for `tell`, once for all models. They are of one method, which returns nothing; at least one.

        Raises:
            ContractError: As `call`, of any of them.
        """
        return retelling(calls, self.contract, self.policy, self._host)

    async def tell(self, told: Retelling, model_id: str) -> bool:
        """Make the calls of one model, in their order, for an `on_join`: as `call` would, but many are sent at once.

        Returns whether it has got to the end; it has not if it failed meanwhile, was stopped, or left.
        """
        for player in self._selected([model_id]):
            if told.telling is not None and isinstance(self._host, TellingHost):
                return await tell(told.telling, player, self._host, self.policy, self._entered.enact, self._pace)
        for each in told.calls:
            [played] = await self.batch([each], models=[model_id])
            if all(outcome.status is Status.SKIPPED for outcome in played.values()):
                return False
        return True

    async def stream(
        self,
        method: str,
        *args: Any,
        models: Selection | None = None,
        per_model: PerModel | None = None,
        timeout: float | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[Outcome]:
        """As `call`, but the outcomes come one by one, as soon as they are known. Strikes count at the end."""
        call, players = self._prepare(MethodCall(method, args, kwargs, timeout, per_model, key), self._selected(models))
        async with aclosing(self._play(call, players, each=True)) as batches:
            async for batch in batches:
                for outcome in batch:
                    yield outcome

    async def tick(self, *args: Any, **kwargs: Any) -> Round:
        """`call("tick", ...)`: tell every model what happened."""
        return await self.call("tick", *args, **kwargs)

    async def predict(self, *args: Any, **kwargs: Any) -> Round:
        """`call("predict", ...)`: ask every model what will happen."""
        return await self.call("predict", *args, **kwargs)

    def _prepare(self, asked: MethodCall, players: Iterable[Player]) -> tuple[Call, rounds.Players]:
        return rounds.checked(asked, players, self.contract, self.policy)

    def _play(self, call: Call, players: rounds.Players, *, each: bool) -> AsyncGenerator[list[Outcome]]:
        lineup = self._entered
        return rounds.play(call, players, self._host, self.policy, lineup.observers, lineup.enact, each=each)

    def _selected(self, models: Selection | None) -> Iterator[Player]:
        lineup, fresh = self._entered, self._fresh
        if models is None:
            seats = list(lineup.seats.values())
        elif callable(models):
            seats = [seat for seat in lineup.seats.values() if models(seat.model)]
        else:
            ids = [models] if isinstance(models, str) else models
            seats = [seat for seat in map(lineup.seat, dict.fromkeys(ids)) if seat is not None]
        for seat in seats:
            yield fresh if fresh is not None and fresh.instance is not None and fresh.seat is seat else seat

    @property
    def _entered(self) -> Lineup:
        if self._lineup is None or self._lineup.closed:
            raise UsageError(_NOT_RUNNING)
        return self._lineup

    def _emit(self, event: events.RunnerEvent) -> None:
        if self._on_event is None:
            if isinstance(event, events.TROUBLE):
                logger.warning("%s", event)
            return
        try:
            result = self._on_event(event)
        except Exception:
            logger.exception("on_event raised for %r; the game goes on", event)
            return
        if inspect.isawaitable(result) and self._tasks is not None:
            self._tasks.start_soon(_await, result)


_NOT_RUNNING = "the ModelRunner is not running; use it inside: async with ModelRunner(...) as runner"


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable


class _Models(Mapping[str, Model]):
    def __init__(self, lineup: Lineup) -> None:
        self._seats = lineup.seats

    def __getitem__(self, model_id: str) -> Model:
        return self._seats[model_id].model

    def __iter__(self) -> Iterator[str]:
        return iter(self._seats)

    def __len__(self) -> int:
        return len(self._seats)

    def __repr__(self) -> str:
        return repr(dict(self))


def roster_of(models: Models) -> Roster:
    from crunch_game.rosters import DirectoryRoster, StaticRoster

    if isinstance(models, str | os.PathLike):
        path = Path(models)
        return StaticRoster([path]) if path.is_file() else DirectoryRoster(path)
    if isinstance(models, type):
        name = models.__name__
        instead = f"an instance: {name}(...)" if hasattr(models, "follow") else f"a list: [{name}]"
        raise GameError(f"models is {described(models)}; give {instead}")
    if hasattr(models, "follow"):
        return models  # type: ignore[return-value]
    if isinstance(models, Iterable):
        return StaticRoster(models)
    raise GameError(f"models is {described(models)}; give a folder, a Roster, or a list of classes and paths")


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception of a group that holds no more than one."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(set(inner.exceptions)) == 1:
        inner = inner.exceptions[0]
    return inner
