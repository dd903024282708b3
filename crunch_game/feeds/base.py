"""Feed, the protocol of data sources, and its rows and events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from crunch_game._public import public, record
from crunch_game.feeds._numbers import number

__all__ = [
    "FEED_TROUBLE",
    "Feed",
    "FeedEvent",
    "FeedGap",
    "FeedMoves",
    "FeedStands",
    "FeedTrouble",
    "Row",
    "RowDropped",
    "RowKept",
    "ValueDropped",
]


@record
class Row:
    """The data of one moment.

    Attributes:
        time: The moment that the data is about; aware, UTC.
        data: The values by name, of types that JSON has.
        arrived: When a live game got it, on the game's clock; aware, UTC. None where that is not known: such a row is
            taken to have arrived at its time. Rows are equal whenever they arrived.
    """

    time: datetime
    data: Mapping[str, Any]
    arrived: datetime | None = field(default=None, compare=False)

    @property
    def prices(self) -> dict[str, float]:
        """Those values that are numbers, as floats: an int, float, Decimal, numpy scalar or numeric text. Not a bool.

        A price that is missing, or is not finite, is not among them.
        """
        found = {name: number(value) for name, value in self.data.items()}
        return {name: value for name, value in found.items() if value is not None}

    def price(self, name: str) -> float | None:
        """The one of `prices` with this name; None if it is not there. In a wide row it is much faster."""
        return number(self.data.get(name))


@record
class FeedGap:
    """The feed was silent for longer than it should be."""

    after: datetime
    until: datetime

    def __str__(self) -> str:
        return f"the feed was silent from {self.after:%Y-%m-%d %H:%M:%S} to {self.until:%Y-%m-%d %H:%M:%S} UTC"


@record
class FeedTrouble:
    """The source failed, and will be asked again in `retry_in` seconds."""

    reason: str
    failures: int
    retry_in: float

    def __str__(self) -> str:
        return f"the feed failed ({self.failures} in a row, asked again in {self.retry_in:.1f} s): {self.reason}"


@record
class RowDropped:
    """A row was left out, because it is unreadable."""

    reason: str
    time: datetime | None = None

    def __str__(self) -> str:
        return f"a row of the feed was left out: {self.reason}"


@record
class ValueDropped:
    """A value was left out of its row: it is missing, infinite, or of no type that JSON has. It is told once a kind.

    Attributes:
        name: The value's name.
        reason: What it is, and what it should be.
        time: The row's.
    """

    name: str
    reason: str
    time: datetime

    def __str__(self) -> str:
        return f"{self.name} was left out of the row of {self.time:%Y-%m-%d %H:%M:%S} UTC (told once): {self.reason}"


@record
class FeedStands:
    """The feed stands still: it answers, but has had no newer row for so long.

    Attributes:
        since: When it last had one, by the wall clock, or since when it is asked; aware, UTC.
        seconds: How long ago that is.
        newest: The time of its newest row; None if it had none.
    """

    since: datetime
    seconds: float
    newest: datetime | None = None

    def __str__(self) -> str:
        newest = "it had no row" if self.newest is None else f"its newest row is of {self.newest:%Y-%m-%d %H:%M:%S} UTC"
        return f"the feed stands still for {self.seconds:,.0f} s, since {self.since:%Y-%m-%d %H:%M:%S} UTC: {newest}"


@record
class FeedMoves:
    """The feed goes on, after it was told that it stands still.

    Attributes:
        since: When it had last had a newer row, by the wall clock; aware, UTC.
        seconds: How long it stood still.
    """

    since: datetime
    seconds: float

    def __str__(self) -> str:
        return f"the feed goes on: it stood still for {self.seconds:,.0f} s, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@record
class RowKept:
    """A row came too late to be told: it is not newer than the newest. It is kept, for the truth."""

    time: datetime
    is_correction: bool

    def __str__(self) -> str:
        what = "corrects one that was told" if self.is_correction else "came after newer ones"
        return f"the row of {self.time:%Y-%m-%d %H:%M:%S} UTC {what}: it is kept, and no model is told it"


FeedEvent = FeedGap | FeedMoves | FeedStands | FeedTrouble | RowDropped | RowKept | ValueDropped

FEED_TROUBLE = (FeedGap, FeedStands, FeedTrouble, RowDropped, RowKept, ValueDropped)
"""The events that are logged as warnings if the author has no listener."""


@public
class Feed(Protocol):
    """A source of rows. Implement this for data of your own.

    Attributes:
        live: True if the wall clock is the game's clock; False if the times of the rows are (a replay).
    """

    live: bool

    def rows(
        self, since: datetime | None = None, on_event: Callable[[FeedEvent], object] | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows later than `since`, in the order of their arrival.

        Their times need not increase. A game tells its models only rows that are newer than the newest before; a late
        row, and a second one of the same time, which is a correction, are kept for the truth. A game that was down asks
        for the rows since the last that it has, so a source that has a past fills the gap.

        Raises:
            FeedError: The data cannot be read.
        """
        ...
