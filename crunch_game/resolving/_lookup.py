"""Prices in a history: the one that was known at a time, and the first one from a time on; or why there is none."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from crunch_game._quantities import Duration, seconds
from crunch_game.errors import GameError
from crunch_game.feeds import History
from crunch_game.resolving.base import Never
from crunch_game.storage.base import Prediction

Kind = Literal["price", "change", "return", "log return"]
"""What is made of two prices: the later one, its difference to the earlier one, or a return."""
KINDS: tuple[Kind, ...] = ("price", "change", "return", "log return")

Of = str | Callable[[Prediction], str]
"""The argument that names the price, or a function of the prediction that does."""


class Quote(NamedTuple):
    """A price, and the time of its row."""

    price: float
    time: datetime


def checked_of(of: Of) -> None:
    if not isinstance(of, str) and not callable(of):
        raise GameError(
            f'of={of!r} must be the name of the argument that names the price, such as "asset", or a function of the '
            'prediction, such as lambda prediction: "BTC"'
        )


def name_of(prediction: Prediction, of: Of) -> Any:
    """The name of the price in the rows.

    Raises:
        GameError: The prediction has no such argument.
    """
    if not isinstance(of, str):
        return of(prediction)
    if of not in prediction.arguments:
        has = ", ".join(map(repr, prediction.arguments)) or "none"
        raise GameError(
            f"of={of!r} is no argument of the prediction {prediction.key}, which has {has}; name the one that names "
            'the price, or give a function: of=lambda prediction: "BTC"'
        )
    return prediction.arguments[of]


def length(given: Duration | None, default: timedelta, what: str) -> timedelta:
    """A duration that may be zero; the default if it is not given."""
    return default if given is None else _length(given, what)


@lru_cache(maxsize=256)  # each prediction asks for the same ones
def _length(given: Duration, what: str) -> timedelta:
    return timedelta(seconds=seconds(given, what, zero=True))


def is_due(prediction: Prediction, history: History, wait: Duration) -> bool:
    """Whether a row has come that is at or after the horizon, and as much later as late rows are waited for."""
    newest = history.latest
    if newest is None:
        return False
    return newest.time - prediction.resolves_at >= length(wait, timedelta(), "wait")


def known_at(history: History, name: Any, time: datetime, max_age: timedelta) -> Quote | Never:
    """The last price at or before `time`, and at most `max_age` older."""
    since = _shifted(time, -max_age)
    row = history.at(time)
    if row is not None and row.time >= since and (price := row.price(name)) is not None:
        return Quote(price, row.time)
    for row in reversed(history.between(since, time)):
        if (price := row.price(name)) is not None:
            return Quote(price, row.time)
    return Never(f"there is no price of {name} from {_shown(since)} to {_shown(time)}, when it was to be forecast")


def first_from(history: History, name: Any, time: datetime, until: datetime) -> Quote | Never | None:
    """The first price from `time` to `until`, both included; None while one may still come."""
    row = history.first_from(time)
    if row is not None and row.time <= until and (price := row.price(name)) is not None:
        return Quote(price, row.time)
    for row in history.between(time, until):
        if (price := row.price(name)) is not None:
            return Quote(price, row.time)
    newest = history.latest
    if newest is None or newest.time <= until:
        return None
    return Never(f"there is no price of {name} from {_shown(time)} to {_shown(until)}")


def last_moment(time: datetime, max_age: timedelta) -> datetime:
    """`max_age` after `time`, or the end of the calendar."""
    return _shifted(time, max_age)


def compared(kind: Kind, name: Any, start: Quote, end: Quote) -> float | Never:
    """What is made of the prices at the start and at the end."""
    if kind == "price":
        return end.price
    if kind == "change":
        return _finite(end.price - start.price, kind, name, end)
    for quote in (start,) if kind == "return" else (start, end):
        if quote.price <= 0:
            return Never(
                f"the price of {name} at {_shown(quote.time)} is {quote.price:g}: a {kind} needs one greater than 0"
            )
    if kind == "return":
        return _finite((end.price - start.price) / start.price, kind, name, end)
    ratio = end.price / start.price
    # Beyond what a float holds in full, the logarithms are exact where the ratio is not.
    usual = sys.float_info.min <= ratio <= sys.float_info.max
    return math.log(ratio) if usual else math.log(end.price) - math.log(start.price)


def _finite(value: float, kind: Kind, name: Any, end: Quote) -> float | Never:
    if math.isfinite(value):
        return value
    return Never(f"the {kind} of {name} until {_shown(end.time)} is greater than a float can be")


def _shifted(time: datetime, by: timedelta) -> datetime:
    try:
        return time + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta() else datetime.min.replace(tzinfo=UTC)


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
