"""When a game asks, and what its models know then: one pure function of rows, their arrivals, and the clock.

A live game, its replay and a backtest go through the same `Timetable`. So they ask in the same slots, knowing the same
rows. It reads no clock, calls nobody and keeps nothing: it is told of rows and of the time, and says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from crunch_game.feeds.base import Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """When one prediction is asked for.

    Attributes:
        key: The prediction's name.
        every: From slot to slot. None: the time of each row is a slot.
        offset: How long after the whole multiples of `every` since 1970 the slots are.
        wait: How long after a slot its rows are waited for.
        max_age: How old the newest row that is known may be, for a slot to be played.
        grace: How late, after a start, a slot from before the start may be played.
    """

    key: str
    every: timedelta | None
    offset: timedelta = timedelta(0)
    wait: timedelta = timedelta(0)
    max_age: timedelta = timedelta(0)
    grace: timedelta = timedelta(seconds=5)

    def number(self, at: datetime) -> int:
        """The number of the newest slot at or before a moment."""
        assert self.every is not None
        return (at - _EPOCH - self.offset) // self.every  # whole microseconds: with floats, 0.3 // 0.1 would be 2

    def moment(self, number: int) -> datetime:
        """When the slot of a number is."""
        assert self.every is not None
        return _EPOCH + self.offset + number * self.every


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the models of a row."""

    row: Row


@dataclass(frozen=True, slots=True)
class Play:
    """Play a slot: ask for these predictions, all at once.

    Attributes:
        at: The slot.
        keys: The predictions' names.
        by: After this it is played late.
        with_row: Whether a row exactly there has just been told: the two are stored together.
    """

    at: datetime
    keys: tuple[str, ...]
    by: datetime
    with_row: bool


@dataclass(frozen=True, slots=True)
class Miss:
    """So many slots of a prediction, the last of them at `at`, are not played."""

    key: str
    at: datetime
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a row that is not newer than the newest told. Nobody is told it."""

    row: Row
    newest: datetime


@dataclass(frozen=True, slots=True)
class Refuse:
    """Set a row aside."""

    row: Row
    reason: str


Step = Tell | Play | Miss | Keep | Refuse


class Timetable:
    """Decides which slots are played, one after the other.

    A slot is decided once a row exactly at it was told; else before a later row is told; else when its rows have been
    waited for. It is played if a row that is new enough is known.

    Args:
        timings: Of all predictions, in the game's order.
        ahead: How far after its arrival a row's time may be.
        seen: The time of the newest row that was told before; None if there was none.
        decided: The last slot that was played before, or older; None if there was none.

    Attributes:
        seen: The time of the newest row that was told.
    """

    def __init__(
        self,
        timings: Sequence[Timing],
        *,
        ahead: timedelta,
        seen: datetime | None = None,
        decided: datetime | None = None,
    ) -> None:
        self._timings = timings
        self._on_grid = [timing for timing in timings if timing.every is not None]
        self._ahead = ahead
        self.seen = seen
        self._start: datetime | None = None
        self._decided: datetime | None = None
        self._next: dict[str, int] = {}
        """The number of each prediction's next slot; empty until the first row, or start, says where slots begin."""
        self.resume(decided)

    def resume(self, decided: datetime | None) -> None:
        """Go on from what is known to be over: the slots up to the newest row, and up to the last that was played.

        A slot that an earlier call has named stays played, though `decided` is older, or None.
        """
        self._decided = max((each for each in (self._decided, decided) if each is not None), default=None)
        over = max((each for each in (self.seen, self._decided) if each is not None), default=None)
        self._next = {} if over is None else {timing.key: timing.number(over) + 1 for timing in self._on_grid}

    @property
    def deadline(self) -> datetime | None:
        """When the next slot is decided, whatever has come by then; None if there is none yet."""
        return min((self._deadline(timing) for timing in self._on_grid), default=None) if self._next else None

    @property
    def least_wait(self) -> timedelta | None:
        """How long every slot waits at least; None if rows are the slots."""
        return min((timing.wait for timing in self._on_grid), default=None)

    def is_ahead(self, row: Row) -> bool:
        """Whether a row's time is further after its arrival than it may be."""
        return row.arrived is not None and row.time > row.arrived + self._ahead

    @property
    def least_age(self) -> timedelta:
        """How old the newest row may be, at most, for every slot to be played; none if rows are the slots."""
        return min((timing.max_age for timing in self._on_grid), default=timedelta(0))

    def start(self, at: datetime) -> Iterator[Step]:
        """A live session begins: of the slots that it has missed, each prediction's newest may still be played."""
        self._start = at
        for timing in self._on_grid:
            newest = timing.number(at)
            if timing.key not in self._next:
                self._next[timing.key] = newest
            elif newest > self._next[timing.key]:
                yield from self._miss(timing, timing.moment(newest - 1), "the game was not running")

    def until(self, now: datetime) -> Iterator[Step]:
        """Decide what has been waited for: the deadlines before `now`. A row that arrives at a deadline is in time."""
        while self._next and self._on_grid:
            by = min(map(self._deadline, self._on_grid))
            if by >= now:
                return
            yield from self._decide(self._earliest(), by, lambda timing: now - timing.wait)

    def through(self, last: datetime, alive: datetime) -> Iterator[Step]:
        """Decide the slots up to this one, which was played: of a session that has ended, from its record.

        Each is decided at its deadline, or when the session was last alive: a row may have decided it that was lost
        with the session.
        """
        while self._next and self._on_grid and self._earliest() <= last:
            at, by = self._earliest(), min(map(self._deadline, self._on_grid))
            when = at if at == last else min(by, alive)
            yield from self._decide(at, when, lambda timing: last + _MICROSECOND)

    def arrive(self, row: Row) -> Iterator[Step]:
        """A row arrived: at `row.arrived`, or at its time where that is not known. Deadlines before then are decided.

        The rows must come in the order of their arrival.
        """
        arrived = row.arrived or row.time
        if self._start is not None:
            yield from self.until(arrived)
            if row.time > arrived + self._ahead:
                yield Refuse(row, f"its time is {_shown(row.time - arrived)} ahead of the clock")
                return
        if self.seen is not None and row.time <= self.seen:
            yield Keep(row, self.seen)
            return
        if not self._next:  # the first row of all: slots begin with it
            self._next = {timing.key: timing.number(row.time - _MICROSECOND) + 1 for timing in self._on_grid}
        while self._on_grid and self._earliest() < row.time:
            yield from self._decide(self._earliest(), arrived, lambda timing: row.time)
        self.seen = row.time
        yield Tell(row)
        yield from self._decide(row.time, arrived, lambda timing: row.time + _MICROSECOND, by_row=True)

    # One slot.

    def _at(self, timing: Timing) -> datetime:
        return timing.moment(self._next[timing.key])

    def _earliest(self) -> datetime:
        return min(map(self._at, self._on_grid))

    def _deadline(self, timing: Timing) -> datetime:
        at = self._at(timing)
        return (at if self._start is None else max(at, self._start)) + timing.wait

    def _decide(
        self, at: datetime, when: datetime, end: Callable[[Timing], datetime], *, by_row: bool = False
    ) -> Iterator[Step]:
        """Decide the slot at `at`, at the moment `when`.

        Args:
            at: The earliest that is not decided.
            when: Whether it is too late to play it, depends on this.
            end: Where a prediction's slots end that may be decided now, knowing no further row.
            by_row: Whether a row is exactly there: a slot of the predictions that are asked for at every row.
        """
        due = [each for each in self._timings if (by_row if each.every is None else self._at(each) == at)]
        grace = min((timing.grace for timing in due), default=timedelta(0))
        is_over = self._start is not None and at <= self._start and when >= at + grace
        played = []
        for timing in due:
            if is_over:
                yield from self._miss(timing, at, f"the game was not running; it is played up to {_shown(grace)} later")
            elif timing.every is None or (self.seen is not None and self.seen > at - timing.max_age):
                played.append(timing.key)
                if timing.every is not None:
                    self._next[timing.key] += 1
            else:
                # No other row is known up to `end`: all slots before it are missed, and a year of them takes no year.
                last = timing.moment(timing.number(end(timing) - _MICROSECOND))
                yield from self._miss(timing, max(at, last), self._why_old(timing))
        if played:
            yield Play(at, tuple(played), at + grace + min(timing.wait for timing in due), by_row)

    def _miss(self, timing: Timing, last: datetime, reason: str) -> Iterator[Miss]:
        """The next slots of a prediction are missed, up to `last`. Before the first row of all, nobody misses them."""
        if timing.every is None:
            yield Miss(timing.key, last, 1, reason)
            return
        first, self._next[timing.key] = self._next[timing.key], timing.number(last) + 1
        if self.seen is not None:
            yield Miss(timing.key, last, self._next[timing.key] - first, reason)

    def _why_old(self, timing: Timing) -> str:
        if self.seen is None:
            return "no row had been told"
        return f"the newest row was of {self.seen:%Y-%m-%d %H:%M:%S} UTC, and may be {_shown(timing.max_age)} old"


def _shown(length: timedelta) -> str:
    return f"{length.total_seconds():,g} s"
