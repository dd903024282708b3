"""History: past rows, to look up what was known at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime

from crunch_game._public import public
from crunch_game.errors import FeedError
from crunch_game.feeds.base import Row


@public
class History:
    """Rows in the order of their times, one of each; lookups take O(log n).

    An author's `resolve(prediction, history)` reads it. Times are aware; a naive one raises FeedError.

    Args:
        rows: The rows to begin with, in strictly increasing order of time.

    Raises:
        FeedError: The rows are not in strictly increasing order, or a time is naive.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: list[Row] = []
        self._times: list[datetime] = []
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add the next row.

        Raises:
            FeedError: Its time is naive, or not later than the last row's. It was not added.
        """
        # A naive time would be compared with aware ones only in a lookup, long after the mistake.
        time = _aware(row.time)
        if self._times and time <= self._times[-1]:
            raise FeedError(
                f"a row of {time} cannot follow one of {self._times[-1]}; append rows in the order of their times"
            )
        self._rows.append(row)
        self._times.append(time)

    def insert(self, row: Row) -> None:
        """Add a row wherever its time belongs. One of a time that is there replaces it, unless that arrived later.

        A row that is newer than the last takes no longer than with `append`.

        Raises:
            FeedError: Its time is naive. It was not added.
        """
        time = _aware(row.time)
        index = bisect_left(self._times, time)
        if index == len(self._times) or self._times[index] != time:
            self._times.insert(index, time)
            self._rows.insert(index, row)
        else:
            there, arrived = self._rows[index].arrived, row.arrived
            if there is None or arrived is None or arrived >= there:
                self._rows[index] = row

    @property
    def latest(self) -> Row | None:
        """The last row, if any."""
        return self._rows[-1] if self._rows else None

    def at(self, time: datetime) -> Row | None:
        """Return what was known at `time`: the last row at or before it, or None."""
        index = bisect_right(self._times, _aware(time))
        return self._rows[index - 1] if index else None

    def first_from(self, time: datetime) -> Row | None:
        """Return the first row at or after `time`; None if it has not come yet."""
        index = bisect_left(self._times, _aware(time))
        return self._rows[index] if index < len(self._rows) else None

    def between(self, start: datetime, end: datetime) -> list[Row]:
        """Return the rows from `start` to `end`, both included."""
        first = bisect_left(self._times, _aware(start))
        return self._rows[first : bisect_right(self._times, _aware(end))]

    def after(self, time: datetime, most: int) -> list[Row]:
        """Return the first rows later than `time`, at most so many."""
        first = bisect_right(self._times, _aware(time))
        return self._rows[first : first + most]

    def forget(self, before: datetime) -> None:
        """Drop the rows that no lookup of a time from `before` on can return.

        The last row at or before `before` is kept, because `at(before)` is that row.
        """
        surplus = bisect_right(self._times, _aware(before)) - 1
        if surplus > 0:
            del self._rows[:surplus]
            del self._times[:surplus]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        if not self._times:
            return "History(empty)"
        return f"History({len(self)} rows, {self._times[0]} to {self._times[-1]})"


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise FeedError(f"the time {time} has no time zone; give an aware one, such as datetime.now(UTC)")
    return time
