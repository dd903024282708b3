"""From the engine's thread to the event loop: an exchange's results, and how the thread wakes the loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Self

import anyio

from crunch_game.hosts.exchange import Exchange, Result

__all__ = ["Results", "waker"]


class Results:
    """An exchange's results as they reach the event loop, batch by batch."""

    def __init__(self, method: str, timeout: float, *, each: bool) -> None:
        self.exchange = Exchange(method, timeout, self._deliver, each=each)
        self.complete = False
        self._batches: deque[list[Result]] = deque()
        self._news = anyio.Event()
        self._take: Callable[[list[Result]], None] = self._batches.append

    def _deliver(self, batch: list[Result], last: bool) -> None:
        self._take(batch)
        self.complete = last
        self._news.set()

    async def wait(self) -> None:
        """Wait until there are some, or the last have been taken."""
        if not self._batches and not self.complete:
            self._news = anyio.Event()
            await self._news.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Result]:
        if not self._batches:
            if self.complete:
                raise StopAsyncIteration
            await self.wait()
        return self._batches.popleft()

    def forsake(self, take: Callable[[list[Result]], None]) -> None:
        """Take no more results: those that are left, and those that still come, go elsewhere."""
        self._take = take
        while self._batches:
            take(self._batches.popleft())


def waker() -> Callable[[Callable[[], None]], None]:
    """How another thread makes this event loop call a function soon."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon

    def wake(function: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(function)

    return wake
