"""Standstill: notices that a feed answers, but has nothing new."""

from __future__ import annotations

from datetime import datetime, timedelta

from crunch_game.feeds.base import FeedMoves, FeedStands


class Standstill:
    """Notices when a feed stands still, and when it goes on. It reads no clock.

    Args:
        after: The seconds without a newer row after which it is told first; then it is told at growing intervals.
    """

    def __init__(self, after: float) -> None:
        self._after = timedelta(seconds=after)
        self._wait = self._after
        self._newest: datetime | None = None
        self._since: datetime | None = None

    @property
    def due(self) -> datetime | None:
        """When it will be told that the feed stands still, unless a newer row comes; None before the first `see`."""
        return None if self._since is None else self._since + self._wait

    def see(self, newest: datetime | None, now: datetime) -> FeedStands | FeedMoves | None:
        """Take notice of the feed's newest row, and return what is to be told, if anything.

        Args:
            newest: The time of the newest row so far; None if there was none.
            now: The wall clock; aware, UTC.
        """
        if self._since is None or (newest is not None and (self._newest is None or newest > self._newest)):
            stood = None if self._since is None else FeedMoves(self._since, (now - self._since).total_seconds())
            was_told = self._wait > self._after
            self._newest, self._since, self._wait = newest, now, self._after
            return stood if was_told else None
        stands_for = now - self._since
        if stands_for < self._wait:
            return None
        self._wait = 2 * stands_for
        return FeedStands(self._since, stands_for.total_seconds(), self._newest)
