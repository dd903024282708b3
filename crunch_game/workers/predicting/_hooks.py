"""The author's functions that run for each row and each round: what one raises sets that aside, and ends no game."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from crunch_game._asks import Ask
from crunch_game.encoding import encode as on_wire
from crunch_game.encoding import sendable
from crunch_game.errors import ContractError, CrunchGameError, GameError
from crunch_game.events import HookFailed
from crunch_game.faults import describe_exception
from crunch_game.feeds.base import Row
from crunch_game.game import Game
from crunch_game.models import Model
from crunch_game.ranking import Standing
from crunch_game.storage import encode as as_stored


@dataclass(frozen=True)
class Extras:
    """Further keyword arguments of each model, and why there are none for those whom `per_model` failed for."""

    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


class Hooks:
    """Calls them, and tells of each kind of failure once.

    What fails for the very first row is the author's mistake, and is raised.

    Args:
        game: Whose functions they are.
        tell: Called with HookFailed.
        standing_of: A model's standing, for `per_model`.

    Attributes:
        is_first: Whether nothing has been played yet.
    """

    def __init__(
        self, game: Game, tell: Callable[[HookFailed], object], standing_of: Callable[[str], Standing | None]
    ) -> None:
        self._game = game
        self._tell = tell
        self._standing_of = standing_of
        self._told: set[tuple[str, str]] = set()
        self._is_partial = game.per_model is not None
        self.is_first = False

    def tick_arguments(self, row: Row) -> Sequence[Any] | None:
        """The positional arguments of `tick` for a row; None if the row is not to be told.

        Raises:
            GameError: It is the first row of all, and the game's `tick` raises for it.
            ContractError: It is, and the arguments do not fit the contract.
        """
        try:
            arguments = self._game.tick_arguments(row)
            self._game.contract.method(self._game.tick_method).bind(arguments, {}, partial=self._is_partial)
            return arguments
        except CrunchGameError as error:
            if self.is_first:
                raise
            self.failed("tick", row.time, error.__cause__ or error)
            return None

    def arguments(self, ask: Ask, row: Row | None, at: datetime) -> dict[str, Any] | None:
        """The arguments of one prediction at a slot; None if it is not to be asked for.

        Raises:
            ContractError: It is the first slot of all, and they do not fit the contract.
        """
        try:
            arguments = ask.arguments_for(row)
            ask.method.bind([], arguments, partial=self._is_partial)
            if any(map(callable, ask.arguments.values())):
                _check_usable(ask.key, arguments)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if self.is_first:
                if isinstance(error, ContractError):
                    raise
                raise ContractError(f"an argument of {ask.key} raised {describe_exception(error)}") from error
            self.failed(f"an argument of {ask.key}", at, error)
            return None
        return arguments

    def extras(
        self,
        method: str,
        models: Collection[Model],
        at: datetime,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
    ) -> Extras | None:
        """What `per_model` gives each of the models for a method; None if the game has no `per_model`.

        Args:
            method: The method.
            models: Who is asked.
            at: The row's time, or the slot.
            args: What all of them get.
            kwargs: The same, by keyword.

        Raises:
            GameError: It is the first row of all, and `per_model` raises for every model.
            ContractError: It is, and what it gave does not fit the contract, or cannot be sent or stored.
        """
        if self._game.per_model is None:
            return None
        bound = self._game.contract.method(method)
        given, failed = {}, {}
        for model in models:
            try:
                extra = self._game.extra_for(bound, model, self._standing_of(model.id))
                bound.extra(args, kwargs, extra)
                if extra:
                    _check_usable("per_model", extra)
                given[model.id] = extra
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) or (self.is_first and isinstance(error, ContractError)):
                    raise
                failed[model.id] = why = describe_exception(error)
                if self.is_first and not given and len(failed) == len(models):
                    raise GameError(f"the per_model of the game {self._game.name} raised {why}") from error
                self.failed("per_model", at, error)
        return Extras(given, failed)

    def failed(self, hook: str, at: datetime, error: BaseException) -> None:
        """Tell of a failure, if it is the first of its kind."""
        if (kind := (hook, type(error).__name__)) not in self._told:
            self._told.add(kind)
            self._tell(HookFailed(hook, at, describe_exception(error)))


def _check_usable(what: str, arguments: Mapping[str, Any]) -> None:
    """Check that arguments can be sent to models, and be stored beside the answers.

    Raises:
        ContractError: They cannot.
    """
    with sendable(f"the arguments of {what}"):
        on_wire(arguments)
    try:
        as_stored(arguments)
    except ValueError as error:
        raise ContractError(f"the arguments of {what} cannot be stored: {error}") from None
