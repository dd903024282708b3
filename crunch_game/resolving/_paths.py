"""Path: one number for each step up to the horizon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from crunch_game._public import public
from crunch_game._quantities import Duration, seconds
from crunch_game.errors import GameError
from crunch_game.feeds import History
from crunch_game.resolving._lookup import (
    KINDS,
    Kind,
    Of,
    Quote,
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

_INSTANT = timedelta(microseconds=1)


@public
@dataclass(frozen=True, slots=True)
class Path:
    """A `resolve`: a list with a number for each step up to the horizon, as `predict(asset, horizon, step)` asks.

    The price of a step is the first one at or after its end, so that the last is that of `Return`, and log returns
    add up to it. A step whose price came only when the next step was over is a gap, and the path is Never: to repeat a
    price would invent a step without movement, and a jump.

    Args:
        of: The argument that names the price in the feed's rows, or a function `(prediction) -> name`.
        step: The argument that has the step, in seconds; or a duration. The horizon is a whole number of steps, else
            the path is Never.
        kind: "log return", "return", "change" (differences of prices), each from step to step; or "price".
        max_age: How much later than the end of its step a price may be, and how much older than the slot the first
            one. By default as much as a step is long.
        wait: How long after the horizon late rows are waited for, by the rows' own times.

    Raises:
        GameError: `of` is neither text nor a function, a duration is none, or the kind is unknown.
    """

    of: Of = "asset"
    step: Duration = field(default="step", kw_only=True)
    kind: Kind = field(default="log return", kw_only=True)
    max_age: Duration | None = field(default=None, kw_only=True)
    wait: Duration = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        checked_of(self.of)
        if self.kind not in KINDS:
            raise GameError(f"kind={self.kind!r} is not one of {', '.join(map(repr, KINDS))}")
        if not isinstance(self.step, str):
            seconds(self.step, "step")
        if self.max_age is not None:
            seconds(self.max_age, "max_age", zero=True)
        seconds(self.wait, "wait", zero=True)

    def __call__(self, prediction: Prediction, history: History) -> list[float] | Never | None:
        """The outcome; None if it is not known yet, Never if it never will be.

        Raises:
            GameError: The prediction has no argument of the name `of`, or its step is no duration.
        """
        name = name_of(prediction, self.of)
        step = self._step(prediction)
        if isinstance(step, Never) or not is_due(prediction, history, self.wait):
            return step if isinstance(step, Never) else None
        quotes = self._quotes(prediction, history, name, step)
        if quotes is None or isinstance(quotes, Never):
            return quotes
        numbers: list[float] = []
        for start, end in pairwise(quotes):
            number = compared(self.kind, name, start, end)
            if isinstance(number, Never):
                return number
            numbers.append(number)
        return numbers

    def steps(self, arguments: Mapping[str, Any]) -> int | None:
        """How many numbers an outcome has; None if the arguments have no horizon, or the path is Never.

        Args:
            arguments: Those of the call, by parameter name.
        """
        try:
            whole = timedelta(seconds=seconds(arguments.get("horizon", ""), "horizon"))
            step = timedelta(seconds=seconds(self._given(arguments), "step"))
        except GameError:
            return None
        return whole // step if step and not whole % step else None

    def _given(self, arguments: Mapping[str, Any]) -> Any:
        return arguments.get(self.step, self.step) if isinstance(self.step, str) else self.step

    def _step(self, prediction: Prediction) -> timedelta | Never:
        length = seconds(self._given(prediction.arguments), f"the step of {prediction.key}")
        step = timedelta(seconds=length)
        # In whole microseconds, as times are: a third of a second divides no horizon.
        if not step or (prediction.resolves_at - prediction.at) % step:
            return Never(f"the horizon of {prediction.horizon:g} s is no whole number of steps of {length:g} s")
        return step

    def _quotes(
        self, prediction: Prediction, history: History, name: str, step: timedelta
    ) -> list[Quote] | Never | None:
        """The prices at the slot and at the end of each step."""
        max_age = length(self.max_age, step, "max_age")
        # The last first: while it is not known, rows may still come that fill a gap.
        last = first_from(history, name, prediction.resolves_at, last_moment(prediction.resolves_at, max_age))
        if last is None or isinstance(last, Never):
            return last
        # Prices alone do not depend on what was known at the slot.
        start = last if self.kind == "price" else known_at(history, name, prediction.at, max_age)
        if isinstance(start, Never):
            return start
        quotes = [start]
        for end in _ends(prediction, step):
            quote = first_from(history, name, end, min(last_moment(end, max_age), end + step - _INSTANT))
            if quote is None or isinstance(quote, Never):
                return quote
            quotes.append(quote)
        return [*quotes, last]


def _ends(prediction: Prediction, step: timedelta) -> Iterator[datetime]:
    """The ends of all steps but the last."""
    count = (prediction.resolves_at - prediction.at) // step
    return (prediction.at + number * step for number in range(1, count))
