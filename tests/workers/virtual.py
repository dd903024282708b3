"""A clock that moves when nobody has anything to do, a feed that lives by it, and a store whose owner dies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio

from crunch_game import Row, Store

_CALM = 12
"""Turns of the event loop in which nothing happens, before time goes on."""


class VirtualClock:
    """Time stands still until both the worker and its feed wait for it."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._sleeping: list[tuple[datetime | None, anyio.Event]] = []
        self._turns = 0

    def now(self) -> datetime:
        return self._now

    def adopted(self, seen: datetime | None = None) -> timedelta | None:
        return None

    def move(self, when: datetime) -> None:
        self._now = max(self._now, when)

    async def sleep_until(self, when: datetime | None) -> None:
        if when is not None and when <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        entry = (when, anyio.Event())
        self._sleeping.append(entry)
        self._turns = 0
        try:
            await entry[1].wait()
        finally:
            self._sleeping.remove(entry)
            self._turns = 0

    async def run(self) -> None:
        """Move the time on."""
        while True:
            await anyio.lowlevel.checkpoint()
            self._turns += 1
            if len(self._sleeping) >= 2 and self._turns > _CALM:
                times = [when for when, _ in self._sleeping if when is not None]
                if times:
                    self._now = max(self._now, min(times))
                    for when, event in self._sleeping:
                        if when is not None and when <= self._now:
                            event.set()
                self._turns = 0

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            yield
            tasks.cancel_scope.cancel()


class Set(VirtualClock):
    """A clock that somebody sets: at each of these moments, in their order, by so much."""

    def __init__(self, start: datetime, *steps: tuple[datetime, timedelta]) -> None:
        super().__init__(start)
        self._steps = list(steps)

    def adopted(self, seen: datetime | None = None) -> timedelta | None:
        if not self._steps or self._now < self._steps[0][0]:
            return None
        _, step = self._steps.pop(0)
        self._now += step
        return step


@dataclass(frozen=True)
class Coming:
    """A row, and when it comes."""

    row: Row
    when: datetime


class Scripted:
    """A live feed of rows that come when the script says. What came while nobody listened is lost, or comes at once."""

    live = True

    def __init__(self, clock: VirtualClock, script: Sequence[Coming], until: datetime, *, has_past: bool) -> None:
        self._clock = clock
        self._script = sorted(script, key=lambda coming: coming.when)
        self._until = until
        self._has_past = has_past

    async def rows(self, since: datetime | None = None, on_event: Any = None) -> AsyncIterator[Row]:
        began = self._clock.now()
        for coming in self._script:
            if coming.when < began:
                if self._has_past and (since is None or coming.row.time > since):
                    yield coming.row
                continue
            await self._clock.sleep_until(coming.when)
            yield coming.row
        await self._clock.sleep_until(self._until)


class Killed(BaseException):
    """The worker's process is gone."""


class Dying:
    """A store whose worker dies at the save of a number: before it, or just after."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self._store = store
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        self._store.save(*args, **kwargs)
        if self._left == 0:
            raise Killed
