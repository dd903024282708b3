"""Where the steps of a live game come from: rows as they arrive, and slots when they are due."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from anyio.to_thread import run_sync as in_thread

from crunch_game._slots import Step, Timetable
from crunch_game.events import ClockSet, RowsSlow
from crunch_game.feeds import Standstill
from crunch_game.feeds.base import Feed, Row
from crunch_game.storage.base import Session, Store
from crunch_game.workers._base import Listener, beside
from crunch_game.workers.predicting._arriving import Arriving
from crunch_game.workers.predicting._clock import Clock
from crunch_game.workers.predicting._steps import Executor

_HEARTBEAT: Final = timedelta(seconds=5)
"""How often an idle session says that it is alive, and looks at the wall clock."""
_STANDSTILL_SECONDS: Final = 60.0
"""A feed that has no newer row for so long, and for two slots, stands still."""
_LATENCIES: Final = 31
"""Rows whose median latency is looked at."""
_MOMENT: Final = timedelta(microseconds=1)


class Live:
    """A live game: one session after the other, as long as the worker plays.

    Args:
        feed: The live feed.
        table: Says what to do.
        clock: The game's.
        store: Where the sessions are kept.
        steps: Knows the current one, and what was told.
        tell: Called with events.
    """

    def __init__(
        self, feed: Feed, table: Timetable, clock: Clock, store: Store, steps: Executor, tell: Listener
    ) -> None:
        self._feed = feed
        self._table = table
        self._clock = clock
        self._store = store
        self._steps = steps
        self._tell = tell
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._is_told_slow = False
        self._tells_itself = getattr(feed, "tells_of_standstills", False)
        self._standstill = self._watch()

    async def play(
        self,
        carry_out: Callable[[Iterable[Step]], Awaitable[bool]],
        idling: Callable[[], AbstractContextManager[object]],
    ) -> None:
        """Play until the feed ends.

        Args:
            carry_out: Awaited with the steps; it returns whether more are to follow.
            idling: Entered around what may be waited for when there is nothing to do.
        """
        latest = self._steps.history.latest
        rows = self._feed.rows(None if latest is None else latest.time, self._tell)
        arriving = Arriving(rows, self._clock.now, self._tell)
        async with beside(arriving.pump):
            steps = await self._begin()
            while await carry_out(steps) and not arriving.ended:
                steps = await self._next(arriving, idling)

    async def _begin(self) -> Iterable[Step]:
        """Begin a session."""
        started = self._clock.now()  # at once, since rows arrive while the store is read
        former = self._steps.session
        if former is not None:
            self._table.resume(former.committed)
            numbers = [former.number]  # nobody else plays; and the store may be away
        steps = list(self._table.start(started))
        if former is None:
            numbers = [session.number for session in await in_thread(self._store.sessions)]
        self._steps.session = Session(max(numbers, default=0) + 1, started, started)
        await self._steps.save((), started)
        return steps

    async def _next(self, arriving: Arriving, idling: Callable[[], AbstractContextManager[object]]) -> Iterable[Step]:
        """What is to be done next; nothing, after a while, if nothing is."""
        row = arriving.next()
        if row is not None:
            if self._table.is_ahead(row) and (step := self._clock.adopted(row.time)) is not None:
                arriving.arrive_now()
                row = replace(row, arrived=self._clock.now())
                return [*await self._begin_anew(step), *self._table.arrive(row)]
            self._note_latency(row)
            return self._table.arrive(row)
        if (step := self._clock.adopted()) is not None:  # whatever has arrived by the old clock has had its turn
            return await self._begin_anew(step)
        now, deadline = self._clock.now(), self._table.deadline
        if not self._tells_itself and (news := self._standstill.see(self._table.seen, now)) is not None:
            self._tell(news)
        if deadline is not None and deadline < now:
            return self._table.until(now)
        session = self._steps.session
        assert session is not None
        if now - session.heartbeat >= _HEARTBEAT:
            await self._steps.save((), now)
        until = now + _HEARTBEAT if deadline is None else min(deadline + _MOMENT, now + _HEARTBEAT)
        with idling():
            async with beside(lambda: self._clock.sleep_until(until), ends=True):
                await arriving.wait()
        return ()

    async def _begin_anew(self, step: timedelta) -> Iterable[Step]:
        """Begin a session by a clock that was set."""
        self._tell(ClockSet(step.total_seconds()))
        self._standstill = self._watch()  # by the new clock, or the step would be a standstill
        return await self._begin()

    def _watch(self) -> Standstill:
        return Standstill(max(_STANDSTILL_SECONDS, 2 * self._table.least_age.total_seconds()))

    def _note_latency(self, row: Row) -> None:
        """Tell, once, if rows arrive later than slots wait for them. What came of the past says nothing of that."""
        session = self._steps.session
        if self._is_told_slow or row.arrived is None or session is None or row.time < session.started:
            return
        self._latencies.append((row.arrived - row.time).total_seconds())
        wait = self._table.least_wait
        if wait is None or len(self._latencies) < _LATENCIES:
            return
        median = statistics.median(self._latencies)
        if median > wait.total_seconds():
            self._is_told_slow = True
            self._tell(RowsSlow(median, wait.total_seconds()))
