"""Price, Change and Return: one number of the price at the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from crunch_game._public import public
from crunch_game._quantities import Duration, seconds
from crunch_game.feeds import History
from crunch_game.resolving._lookup import (
    Kind,
    Of,
    checked_of,
    compared,
    first_from,
    is_due,
    known_at,
    last_moment,
    length,
    name_of,
)
from crunch_game.resolving.base import Never
from crunch_game.storage.base import Prediction


@dataclass(frozen=True, slots=True)
class _AtHorizon:
    """What the three share."""

    of: Of = "asset"
    max_age: Duration | None = field(default=None, kw_only=True)
    wait: Duration = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        checked_of(self.of)
        if self.max_age is not None:
            seconds(self.max_age, "max_age", zero=True)
        seconds(self.wait, "wait", zero=True)

    @property
    def _kind(self) -> Kind:
        raise NotImplementedError

    def steps(self, arguments: Mapping[str, Any]) -> int:
        """How many numbers an outcome has: one, whatever the call's arguments are."""
        return 1

    def __call__(self, prediction: Prediction, history: History) -> float | Never | None:
        """The outcome; None if it is not known yet, Never if it never will be.

        Raises:
            GameError: The prediction has no argument of the name `of`.
        """
        name = name_of(prediction, self.of)
        if not is_due(prediction, history, self.wait):
            return None
        horizon = prediction.resolves_at - prediction.at
        max_age = length(self.max_age, horizon, "max_age")
        end = first_from(history, name, prediction.resolves_at, last_moment(prediction.resolves_at, max_age))
        if end is None or isinstance(end, Never):
            return end
        if self._kind == "price":
            return end.price
        start = known_at(history, name, prediction.at, max_age)
        return start if isinstance(start, Never) else compared(self._kind, name, start, end)


@public
@dataclass(frozen=True, slots=True)
class Price(_AtHorizon):
    """A `resolve`: the price at the horizon, the first one at or after it.

    Args:
        of: The argument that names the price in the feed's rows, or a function `(prediction) -> name`.
        max_age: How much later than the horizon the price may be. By default as much as the horizon is long. What has
            no price in that time is Never.
        wait: How long after the horizon late rows are waited for, by the rows' own times.

    Raises:
        GameError: `of` is neither text nor a function, or a duration is none.
    """

    _kind: ClassVar[Kind] = "price"


@public
@dataclass(frozen=True, slots=True)
class Change(_AtHorizon):
    """A `resolve`: the price at the horizon minus the one that was known at the slot.

    Args:
        of: The argument that names the price in the feed's rows, or a function `(prediction) -> name`.
        max_age: How much older than the slot the first price may be, and how much later than the horizon the second.
            By default as much as the horizon is long. What lacks one of them is Never.
        wait: How long after the horizon late rows are waited for, by the rows' own times.

    Raises:
        GameError: `of` is neither text nor a function, or a duration is none.
    """

    _kind: ClassVar[Kind] = "change"


@public
@dataclass(frozen=True, slots=True)
class Return(_AtHorizon):
    """A `resolve`: the return from the price that was known at the slot to the first one at or after the horizon.

    Args:
        of: The argument that names the price in the feed's rows, or a function `(prediction) -> name`.
        log: Whether it is the logarithm of the prices' ratio; else their relative change. A price that is not greater
            than 0 has no such return: that is Never.
        max_age: How much older than the slot the first price may be, and how much later than the horizon the second.
            By default as much as the horizon is long. What lacks one of them is Never.
        wait: How long after the horizon late rows are waited for, by the rows' own times.

    Raises:
        GameError: `of` is neither text nor a function, or a duration is none.
    """

    log: bool = field(default=True, kw_only=True)

    @property
    def _kind(self) -> Kind:
        return "log return" if self.log else "return"
