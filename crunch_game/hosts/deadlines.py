"""The deadlines of exchanges: which is next, which is over, and who is slow shortly before."""

from __future__ import annotations

import heapq
import time
from typing import Final

from crunch_game.hosts.exchange import Exchange

__all__ = ["Deadlines"]

_NEARLY: Final = 0.1
"""Seconds before a deadline at which those who are still at their call are looked at."""


class Deadlines:
    """Those that exchanges still have to meet; for one thread."""

    def __init__(self) -> None:
        self._ahead: list[tuple[float, int, Exchange]] = []

    def add(self, exchange: Exchange) -> None:
        """Watch its deadline until nobody is waited for."""
        nearly = exchange.deadline - min(_NEARLY, exchange.timeout / 5)
        heapq.heappush(self._ahead, (nearly, exchange.id, exchange))

    def ahead(self) -> float | None:
        """Seconds until something is to be done; None if there is nothing."""
        while self._ahead and not self._ahead[0][2].waiting:
            heapq.heappop(self._ahead)
        return max(0.0, self._ahead[0][0] - time.monotonic()) if self._ahead else None

    def overdue(self) -> Exchange | None:
        """An exchange whose time is over; on the way, watchers hear of those whose time is nearly over."""
        now = time.monotonic()
        while self._ahead and (self._ahead[0][0] <= now or not self._ahead[0][2].waiting):
            exchange = self._ahead[0][2]
            if exchange.waiting and exchange.deadline <= now:
                return exchange
            heapq.heappop(self._ahead)
            if exchange.waiting:
                heapq.heappush(self._ahead, (exchange.deadline, exchange.id, exchange))
                _notice_slow(exchange)
        return None


def _notice_slow(exchange: Exchange) -> None:
    slow = [link for link in exchange.waiting if link.current is exchange]
    if slow:
        slow[0].watcher.slow(slow, exchange)
