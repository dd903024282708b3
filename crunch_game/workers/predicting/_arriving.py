"""The rows of a live feed between their arrival and their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

import anyio

from crunch_game.errors import FeedError
from crunch_game.faults import describe_exception
from crunch_game.feeds import Cleaner
from crunch_game.feeds.base import FeedEvent, Row, RowDropped

_MAX_ROWS: Final = 10_000
"""Rows that may wait for their turn, before the feed must wait with its next."""


class Arriving:
    """Takes a feed's rows as they come, during a round too, and notes when. Its error is kept behind its last row.

    Args:
        rows: The feed's.
        now: The game's clock.
        tell: Called with what is left out, and why.
    """

    def __init__(
        self, rows: AsyncIterator[Row], now: Callable[[], datetime], tell: Callable[[FeedEvent], object]
    ) -> None:
        self._feed = rows
        self._now = now
        self._tell = tell
        self._clean = Cleaner(tell).clean
        self._rows: deque[Row] = deque()
        self._news, self._room = anyio.Event(), anyio.Event()
        self._ended = False
        self._error: Exception | None = None

    async def pump(self) -> None:
        """Take rows until the feed ends."""
        try:
            async with closing(self._feed):
                async for row in self._feed:
                    self._take(row)
                    if len(self._rows) >= _MAX_ROWS:
                        self._room = anyio.Event()
                        await self._room.wait()
        except Exception as error:  # noqa: BLE001 - raised again by `next`
            self._error = error
        self._ended = True
        self._news.set()

    def _take(self, row: Row) -> None:
        try:
            row = self._clean(row)
        except FeedError as error:
            self._tell(RowDropped(str(error)))
            return
        except Exception as error:  # noqa: BLE001 - its data is of the author's own types, and may raise anything
            self._tell(RowDropped(f"it cannot be read: {describe_exception(error)}"))
            return
        self._rows.append(replace(row, arrived=self._now()))
        self._news.set()

    def next(self) -> Row | None:
        """The row whose turn it is; None if none is here.

        Raises:
            Exception: The feed's error, after its last row.
        """
        if self._rows:
            if len(self._rows) < _MAX_ROWS:
                self._room.set()
            return self._rows.popleft()
        if self._error is not None:
            raise self._error
        if not self._ended:
            self._news = anyio.Event()
        return None

    def arrive_now(self) -> None:
        """Let all that wait for their turn have arrived only now: the clock was wrong when they did."""
        self._rows = deque(replace(row, arrived=self._now()) for row in self._rows)

    @property
    def ended(self) -> bool:
        """Whether the feed has given its last row, and `next` too."""
        return self._ended and not self._rows and self._error is None

    async def wait(self) -> None:
        """Wait for more, after `next` has given None."""
        await self._news.wait()


@asynccontextmanager
async def closing(rows: AsyncIterator[Row]) -> AsyncIterator[None]:
    """Close the iterator afterwards, if it can be closed."""
    try:
        yield
    finally:
        if isinstance(rows, AsyncGenerator):
            await rows.aclose()
