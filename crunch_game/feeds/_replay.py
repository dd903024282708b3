"""ReplayFeed: past rows of a file, a table, any iterable, or what a store recorded of a live game."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from crunch_game._public import public
from crunch_game.errors import FeedError
from crunch_game.feeds._cleaning import Unfit, clean_values, cleaned, column_name
from crunch_game.feeds._columns import Columns, Entry, Timed, names_a_key
from crunch_game.feeds._pivoting import in_order
from crunch_game.feeds._tables import file_entries, is_pandas, table_entries
from crunch_game.feeds._times import Times, in_utc
from crunch_game.feeds.base import FeedEvent, Row


@dataclass(frozen=True, slots=True)
class Recording:
    """What a store recorded of a live game: enough to play it again as it was.

    Attributes:
        sessions: The times in which a worker played, in their order: records of `crunch_game.storage`.
        arrivals: Every row, in the order of arrival, those set aside too: records of `crunch_game.storage`.
        predictions: Who was asked what, and when: records of `crunch_game.storage`.
    """

    sessions: Sequence[Any]
    arrivals: Sequence[Any]
    predictions: Sequence[Any]


@public
class ReplayFeed:
    """A feed of past data. The times of its rows are the game's clock, not the wall clock.

    Files, DataFrames, lists and tuples are read and checked as a whole when the feed is made, have a `len`, and can be
    iterated many times. Any other iterable is read and checked row by row. A store is read when rows are asked for.

    Times are ISO 8601 dates or datetimes (UTC if they have no zone), years, months or days without dashes (2024,
    202401, 20240131), or epoch seconds, milliseconds, microseconds or nanoseconds, which their magnitude says. They
    must strictly increase, but for rows with `arrived`: those must be in the order of their arrival.

    A tidy table, of one row per time and asset, becomes one row per time: with the assets as names, or names such as
    "AAPL.close" if there are several columns. Numbers in a CSV become ints in a column in which all of them are
    written as ints, else floats; other text stays text. Empty cells, None and NaN are left out of their row; infinity
    is an error.

    Args:
        source: The path of a .csv, .csv.gz or .parquet file; a pandas or polars DataFrame, or a pandas Series; an
            iterable of Row or of mappings that contain the time; or a Store, of which the rows are replayed as they
            arrived.
        time: The name of the time column. Unless given, it is the index of times of a table, or the column that is
            called time, date, datetime or timestamp, in any case of letters. Row objects do not need it.
        columns: The names of the values to read; None reads all but the time.
        pivot: The name of the column that says which asset a row of a tidy table is about. Unless given, it is the one
            called asset, symbol or ticker, if times would not increase otherwise. With it, any iterable is read whole.

    Attributes:
        recording: What a store recorded, read when it is asked for; None if the source is no store.

    Raises:
        FeedError: The data cannot be read; the message says where, why and what to do.
        MissingExtra: It is a .parquet file, and neither pandas (with pyarrow) nor polars is installed.
    """

    live = False

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[Row | Mapping[str, Any]] | Any,
        *,
        time: str | None = None,
        columns: Sequence[str] | None = None,
        pivot: str | None = None,
    ) -> None:
        self._source: Any = source
        self._columns = Columns(time, columns, pivot)
        self._started = False
        self._rows: list[Row] | None = None
        if _is_store(source):
            if time is not None or pivot is not None:
                raise FeedError("a store's rows have their times, and are of no tidy table: leave out time and pivot")
            return
        eager = _eager_entries(source, self._columns)
        if eager is not None:
            times = Times()
            timed = [(times.read(entry.time, entry.place), entry) for entry in eager]
            self._rows = list(_checked(in_order(timed, self._columns)))

    @property
    def recording(self) -> Recording | None:
        if not _is_store(self._source):
            return None
        return Recording(
            sessions=tuple(self._source.sessions()),
            arrivals=tuple(replace(arrival, row=self._narrowed(arrival.row)) for _, arrival in self._source.arrivals()),
            predictions=tuple(self._source.predictions()),
        )

    def __len__(self) -> int:
        if _is_store(self._source):
            return sum(1 for _ in self._recorded())
        if self._rows is None:
            raise TypeError("this feed reads its source as it goes, so it has no length; give a list for one")
        return len(self._rows)

    def __bool__(self) -> bool:
        return True  # else `feed or default` would call __len__, which may raise

    async def rows(
        self, since: datetime | None = None, on_event: Callable[[FeedEvent], object] | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows later than `since` (UTC if it has no zone). `on_event` is never called.

        Of a store, those that were set aside are left out.

        Raises:
            FeedError: A source that is read row by row has something unreadable, or is an iterator that an earlier
                call has used up.
            StoreError: A store cannot be read.
        """
        after = None if since is None else in_utc(since)
        for row in self._recorded() if _is_store(self._source) else self._rows or self._unread():
            if after is None or row.time > after:
                yield row

    def _recorded(self) -> Iterator[Row]:
        """The rows of a store, in the order of arrival."""
        return (cleaned(self._narrowed(arrival.row)) for _, arrival in self._source.arrivals() if arrival.aside is None)

    def _narrowed(self, row: Row) -> Row:
        """A row of a store, with only the values that were asked for."""
        return row if self._columns.asked is None else replace(row, data=self._columns.pick(row.data))

    def _unread(self) -> Iterator[Row]:
        """The rows of an iterable, read as they are asked for."""
        if self._rows is not None:  # it is empty
            return
        # A second pass over an iterator would silently be an empty feed.
        if self._started and iter(self._source) is self._source:
            raise FeedError("this feed was made from an iterator, which can be read only once; give a list")
        self._started = True
        times = Times()
        entries = _item_entries(self._source, self._columns)
        yield from _checked(self._columns.picked((times.read(entry.time, entry.place), entry)) for entry in entries)


def _is_store(source: object) -> bool:
    return callable(getattr(source, "arrivals", None)) and callable(getattr(source, "sessions", None))


def _eager_entries(source: Any, columns: Columns) -> Iterator[Entry] | None:
    """Return the entries of a source that is read as a whole; None if it is read row by row."""
    if isinstance(source, str | os.PathLike):
        if "://" in str(source):
            raise FeedError(
                f"{source} is no file; give a store as open_store({source!r}), an endpoint to a PollingFeed"
            )
        return file_entries(Path(source), columns)
    if hasattr(source, "iloc") and hasattr(source, "to_frame"):  # a pandas Series
        source = source.to_frame("value" if source.name is None else source.name)
    if is_pandas(source) or hasattr(source, "get_columns"):
        return table_entries(source, "the DataFrame", columns)
    if not isinstance(source, Iterable) or isinstance(source, Mapping | bytes):
        raise FeedError(
            f"a feed cannot be read from {type(source).__name__}; "
            "give the path of a file, a DataFrame, or an iterable of rows"
        )
    if not isinstance(source, list | tuple):
        if columns.pivot is None:
            return None
        source = list(source)
    if source:
        mappings = [item.data if isinstance(item, Row) else item for item in source]
        names = dict.fromkeys(column_name(name) for item in mappings if isinstance(item, Mapping) for name in item)
        columns.check(names, "the rows")
    return _item_entries(source, columns)


def _item_entries(items: Iterable[object], columns: Columns) -> Iterator[Entry]:
    """Yield the entries of rows and mappings. The first mapping shows which name is the time's."""
    time: str | None = columns.time
    for index, item in enumerate(items):
        place = f"row {index}"
        if isinstance(item, Row):
            yield Entry(place, item.time, {column_name(name): item.data[name] for name in item.data}, item.arrived)
            continue
        if not isinstance(item, Mapping):
            raise FeedError(f"{place}: a Row or a mapping is due, not {type(item).__name__}")
        named = {column_name(name): value for name, value in item.items()}
        if time is None or time not in named:
            time = Columns(time, None, None).time_among(list(named), place, named.__getitem__)
        yield Entry(place, named[time], {name: named[name] for name in columns.to_read(named, time)})


def _checked(entries: Iterable[Timed]) -> Iterator[Row]:
    """Yield the rows of the entries, and check their order."""
    last: Row | None = None
    last_place = ""
    for time, entry in entries:
        arrived = None if entry.arrived is None else in_utc(entry.arrived)
        row = Row(time, _values(entry), arrived)
        if last is not None:
            _check_order(last, row, entry, last_place)
        last, last_place = row, entry.place.rpartition(", ")[2]
        yield row


def _check_order(last: Row, row: Row, entry: Entry, last_place: str) -> None:
    if row.arrived is None and last.arrived is None:
        if row.time <= last.time:
            keys = [name for name in entry.values if names_a_key(name)]
            tidy = f", or give pivot={keys[0]!r} if it is a row for each {keys[0]}" if keys else ""
            raise FeedError(
                f"{entry.place}: its time {row.time} is not later than {last.time} of {last_place}; "
                f"sort by time and keep one row for each{tidy}"
            )
    elif (row.arrived or row.time) < (last.arrived or last.time):
        raise FeedError(
            f"{entry.place}: it arrived at {row.arrived or row.time}, before {last_place}, which arrived at "
            f"{last.arrived or last.time}; sort rows by their arrival"
        )


def _values(entry: Entry) -> dict[str, Any]:
    def refuse(name: str, unfit: Unfit) -> None:
        raise FeedError(f"{entry.place}: {name} is {unfit.reason}")

    return clean_values(entry.values, refuse)
