"""Feed, the protocol of data sources, and its rows and events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from crunch_game._public import public, record

__all__ = ["Feed", "FeedEvent", "FeedGap", "FeedTrouble", "Row", "RowDropped"]


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
        """Those values that are numbers, as floats."""
        return {
            name: float(value)
            for name, value in self.data.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }


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
    """A row was left out: it is a repetition, older than one already yielded, or unreadable."""

    reason: str
    time: datetime | None = None

    def __str__(self) -> str:
        return f"a row of the feed was left out: {self.reason}"


FeedEvent = FeedGap | FeedTrouble | RowDropped


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
        """Yield the rows later than `since`, in strictly increasing order of time.

        Raises:
            FeedError: The data cannot be read.
        """
        ...
