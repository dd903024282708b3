"""The game's clock in a live game: UTC, read once and carried by a clock that nobody sets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import anyio

_NOTICED: Final = timedelta(seconds=1)
"""How far the wall clock must be off, to have stepped: less is what clocks are corrected by all the time."""
_LASTING_SECONDS: Final = 60.0


class Clock(Protocol):
    """What a live worker lives by. A test may give one of its own."""

    def now(self) -> datetime:
        """The time; aware, UTC. It never goes back but by `adopted`."""
        ...

    def adopted(self, seen: datetime | None = None) -> timedelta | None:
        """How far the clock was set just now; None if it was not, as nearly always.

        Args:
            seen: The time of a row from ahead of this clock, if there is one.
        """
        ...

    async def sleep_until(self, when: datetime | None) -> None:
        """Sleep until a time; for ever if it is None."""
        ...


def _unset() -> float:
    """Seconds of a clock that nobody sets. Where there is one, it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class WallClock:
    """The wall clock, but for its steps: one that lasts for a minute is adopted, a shorter one was a mistake.

    A wall clock that is an hour ahead for half a second would otherwise end the rounds of that hour.

    Args:
        wall: The wall clock; UTC.
        unset: Seconds by a clock that nobody sets.
    """

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), unset: Callable[[], float] = _unset
    ) -> None:
        self._wall, self._unset = wall, unset
        self._read, self._since = wall(), unset()
        self._off = timedelta(0)
        self._off_since = math.inf

    def now(self) -> datetime:
        """The time; aware, UTC."""
        return self._read + timedelta(seconds=self._unset() - self._since)

    def adopted(self, seen: datetime | None = None) -> timedelta | None:
        """Look at the wall clock. Returns how far this one was set, if the wall clock has been off for a minute.

        Args:
            seen: The time of a row from ahead of this clock. If the wall clock has reached it, two agree against this
                one, and no minute is waited for: all rows of that minute would be set aside.
        """
        off, now = self._wall() - self.now(), self._unset()
        if abs(off) < _NOTICED:
            self._off_since = math.inf
            return None
        if seen is not None and self._wall() >= seen - _NOTICED:
            self._off, self._off_since = off, now - _LASTING_SECONDS
        if self._off_since == math.inf or abs(off - self._off) > _NOTICED:  # it has stepped, or stepped again
            self._off, self._off_since = off, now
        if now - self._off_since < _LASTING_SECONDS:
            return None
        self._read += off
        self._off_since = math.inf
        return off

    async def sleep_until(self, when: datetime | None) -> None:
        """Sleep until a time; for ever if it is None."""
        await anyio.sleep(math.inf if when is None else max(0.0, (when - self.now()).total_seconds()))
