"""What a game asks for: predictions, when each is asked for, and how they are bound to the contract."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from crunch_game._public import public
from crunch_game._quantities import Duration, described, seconds
from crunch_game._slots import Timing
from crunch_game.contract import Contract, Method
from crunch_game.errors import GameError
from crunch_game.feeds.base import Row
from crunch_game.storage import encode

_DEFAULT_ROW_GRACE: Final = timedelta(seconds=5)
_MAX_DEFAULT_WAIT: Final = timedelta(seconds=5)


@public
class Predict:
    """A prediction that the game asks for repeatedly.

    Args:
        every: From slot to slot, on the game's clock: at each whole multiple since 1970 UTC. With "row", the time of
            each row of the feed is a slot.
        horizon: How long after the slot the outcome is known.
        method: The method to ask for.
        offset: How long after the whole multiples the slots are, less than `every`: for rows that are stamped just
            after them.
        **arguments: Arguments by the base class's parameter names. A function is called with the feed's latest row,
            each time. A duration for a parameter that is annotated as a number, and any timedelta, is passed to the
            models as seconds: an int if they are whole, else a float, which an int parameter refuses.
    """

    def __init__(
        self,
        every: Duration,
        horizon: Duration,
        method: str = "predict",
        *,
        offset: Duration = 0.0,
        **arguments: Any,
    ) -> None:
        self.every = None if every == "row" else seconds(every, "Predict(every)")
        self.horizon = seconds(horizon, "Predict(horizon)")
        self.offset = seconds(offset, "Predict(offset)", zero=True)
        for given, what in ((self.every, "every"), (self.offset, "offset")):
            if given is not None and timedelta(seconds=given).total_seconds() != given:
                raise GameError(f"Predict({what}={given!r}) must be a whole number of microseconds")
        if self.every is None and self.offset:
            raise GameError('Predict(every="row") has no offset: its slots are the times of the rows')
        if self.every is not None and self.offset >= self.every:
            raise GameError(f"Predict(offset={offset!r}) must be less than every, {self.every:g} s")
        self.method = method
        self.arguments = arguments

    def __repr__(self) -> str:
        every = "row" if self.every is None else f"{self.every:g} s"
        return f"<Predict {self.method}({_shown(self.arguments)}) every {every}, horizon {self.horizon:g} s>"


@dataclass(frozen=True)
class Ask:
    """A Predict that is bound to the contract.

    Attributes:
        key: Its name in the store, the same in every run.
        every: Seconds from slot to slot; None where each row's time is a slot.
        offset: Seconds from the whole multiples of `every` to the slots.
        horizon: Seconds until the outcome is known.
        method: The contract's method.
        arguments: By parameter name, in the order of the parameters.
    """

    key: str
    every: float | None
    offset: float
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


def bind_all(contract: Contract, predictions: Sequence[Predict], *, partial: bool) -> tuple[Ask, ...]:
    given = predictions if isinstance(predictions, Sequence) else [predictions]
    for prediction in given:
        if not isinstance(prediction, Predict):
            raise GameError(f"{described(prediction)} is no prediction: predictions=[Predict(every=..., horizon=...)]")
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
    return Ask(key, prediction.every, prediction.offset, prediction.horizon, method, arguments)


def _plain(value: Any, parameter: inspect.Parameter | None) -> Any:
    """The value as models get it: a duration in seconds, and what is whole as an int.

    Raises:
        GameError: It is text that is no duration where a number is wanted, or no whole one where an int is.
    """
    name = parameter.name if parameter is not None else "an argument"
    annotation = parameter.annotation if parameter is not None else None
    whole, numeric = annotation in (int, "int"), annotation in (int, "int", float, "float")
    if isinstance(value, timedelta) or (numeric and isinstance(value, str)):
        try:
            number = seconds(value, name)
        except GameError:
            if isinstance(value, timedelta):
                raise
            wanted = "int" if whole else "float"
            raise GameError(
                f'{name} is {value!r}, but the base class says {wanted}: give a number, or a duration such as "1h"'
            ) from None
    elif whole and isinstance(value, float):
        number = value
    else:
        return value
    if number.is_integer():
        return int(number)
    if whole and not isinstance(value, float):
        raise GameError(f"{name} is {number:g} s, but the base class says int: give whole seconds, or let it say float")
    return number


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={'...' if callable(value) else repr(value)}" for name, value in arguments.items())


def timings(
    asks: Sequence[Ask], wait: Duration | None, grace: Duration | None, max_age: Duration | None
) -> tuple[Timing, ...]:
    """When each prediction is asked for. Slots at one instant are one: they share the least `wait` and `grace`."""
    timings = []
    for ask in asks:
        horizon = timedelta(seconds=ask.horizon)
        late = _DEFAULT_ROW_GRACE if ask.every is None else timedelta(seconds=ask.every) / 10
        late = min(late if grace is None else length(grace, "grace"), horizon)
        if ask.every is None:
            timings.append(Timing(ask.key, None, grace=late))
            continue
        every = timedelta(seconds=ask.every)
        waited = min(every / 10, _MAX_DEFAULT_WAIT) if wait is None else length(wait, "wait")
        age = every if max_age is None else timedelta(seconds=seconds(max_age, "max_age"))
        timings.append(Timing(ask.key, every, timedelta(seconds=ask.offset), waited, age, late))
    return tuple(timings)


def length(duration: Duration, name: str) -> timedelta:
    return timedelta(seconds=seconds(duration, name, zero=True))


def size(given: Any, name: str) -> int:
    """Return a number of bytes.

    Raises:
        GameError: It is none.
    """
    if isinstance(given, bool) or not isinstance(given, int) or given <= 0:
        raise GameError(f"{name} is {described(given)}; give a number of bytes, for example {name}=1_000_000")
    return given


def check_kept(answer: Any, most: int) -> None:
    """Check that an answer can be kept, as the JSON that it is in every store.

    Raises:
        Mismatch: JSON has no form for it, or it takes more bytes than this.
    """
    from crunch_game.contract import Mismatch  # here, since it needs pydantic, and a game is described without it

    try:
        text = encode(answer) or ""
    except ValueError as error:  # without a return annotation, an answer may have a type that JSON lacks
        raise Mismatch(f"it cannot be stored: {error}") from None
    taken = len(text) if text.isascii() else len(text.encode())
    if taken > most:
        raise Mismatch(f"it takes {taken:,} bytes as JSON, and the game keeps at most {most:,}")
