"""ReplayFeed: past rows of a file, a table or any iterable."""

from __future__ import annotations

import csv
import gzip
import importlib
import math
import os
import zlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from crunch_game._public import public
from crunch_game.errors import FeedError, MissingExtra
from crunch_game.feeds.base import FeedEvent, Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row that is not checked yet: where it is, its time as written, its values by name."""

    place: str
    time: object
    values: Mapping[str, object]


@public
class ReplayFeed:
    """A feed of past data. The times of its rows are the game's clock, not the wall clock.

    Files, DataFrames, lists and tuples are read and checked as a whole when the feed is made, have a `len`, and can be
    iterated many times. Any other iterable is read and checked row by row.

    Times are ISO 8601 dates or datetimes (UTC if they have no zone) or epoch seconds, and must strictly increase.
    Numbers in a CSV become floats, other text stays text. Empty cells, None and NaN are left out of their row; infinity
    is an error.

    Args:
        source: The path of a .csv, .csv.gz or .parquet file; a pandas or polars DataFrame; or an iterable
            of Row or of mappings that contain the time.
        time: The name of the time column. Row objects do not need it.
        columns: The names of the values to read; None reads all but the time.

    Raises:
        FeedError: The data cannot be read; the message says where, why and what to do.
        MissingExtra: It is a .parquet file, and neither pandas (with pyarrow) nor polars is installed.
    """

    live = False

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[Row | Mapping[str, Any]] | Any,
        *,
        time: str = "time",
        columns: Sequence[str] | None = None,
    ) -> None:
        self._source: Any = source
        self._columns = _Columns(time, columns)
        self._started = False
        self._rows: list[Row] | None = None
        eager = _eager_entries(source, self._columns)
        if eager is not None:
            self._rows = list(_checked(eager))

    def __len__(self) -> int:
        if self._rows is None:
            raise TypeError("this feed reads its source as it goes, so it has no length; give a list for one")
        return len(self._rows)

    def __bool__(self) -> bool:
        return True  # else `feed or default` would call __len__, which may raise

    async def rows(
        self, since: datetime | None = None, on_event: Callable[[FeedEvent], object] | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows later than `since` (UTC if it has no zone). `on_event` is never called.

        Raises:
            FeedError: A source that is read row by row has something unreadable, or is an iterator that an earlier
                call has used up.
        """
        after = None if since is None else _utc(since)
        if self._rows is not None:
            start = 0 if after is None else bisect_right(self._rows, after, key=lambda row: row.time)
            for row in self._rows[start:]:
                yield row
            return
        # A second pass over an iterator would silently be an empty feed.
        if self._started and iter(self._source) is self._source:
            raise FeedError("this feed was made from an iterator, which can be read only once; give a list")
        self._started = True
        for row in _checked(_item_entries(self._source, self._columns)):
            if after is None or row.time > after:
                yield row


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column has the time, and which have the values."""

    time: str
    asked: Sequence[str] | None

    def choose(self, names: Sequence[str], origin: str) -> list[str]:
        """Check the columns of a table, and return the names of those that have values."""
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FeedError(f"{origin}: the column {twice[0]!r} is there more than once; rename one of them")
        self.check_time(names, origin)
        self.check_asked(names, origin)
        return [name for name in (names if self.asked is None else self.asked) if name != self.time]

    def check_time(self, names: Iterable[str], origin: str) -> None:
        if self.time not in names:
            found = ", ".join(map(str, names)) or "none"
            raise FeedError(
                f"{origin}: there is no time column {self.time!r}; name it with time=..., the columns are: {found}"
            )

    def check_asked(self, names: Iterable[str], origin: str) -> None:
        for name in self.asked or ():
            if name not in names:
                found = ", ".join(map(str, names)) or "none"
                raise FeedError(f"{origin}: there is no column {name!r}; the columns are: {found}")

    def pick(self, values: Mapping[str, object]) -> dict[str, object]:
        if self.asked is None:
            return {name: value for name, value in values.items() if name != self.time}
        return {name: values[name] for name in self.asked if name in values and name != self.time}


def _eager_entries(source: Any, columns: _Columns) -> Iterator[_Entry] | None:
    """Return the entries of a source that is read as a whole; None if it is read row by row."""
    if isinstance(source, str | os.PathLike):
        return _file_entries(Path(source), columns)
    if _is_pandas(source) or hasattr(source, "get_columns"):
        return _table_entries(source, "the DataFrame", columns)
    if isinstance(source, list | tuple):
        if source:
            mappings = [item.data if isinstance(item, Row) else item for item in source]
            names = dict.fromkeys(name for item in mappings if isinstance(item, Mapping) for name in item)
            columns.check_asked(names, "the rows")
        return _item_entries(source, columns)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return None
    raise FeedError(
        f"a feed cannot be read from {type(source).__name__}; "
        "give the path of a file, a DataFrame, or an iterable of rows"
    )


def _is_pandas(source: object) -> bool:
    return hasattr(source, "iloc") and hasattr(source, "columns")


def _item_entries(items: Iterable[object], columns: _Columns) -> Iterator[_Entry]:
    for index, item in enumerate(items):
        place = f"row {index}"
        if isinstance(item, Row):
            yield _Entry(place, item.time, columns.pick(item.data))
        elif not isinstance(item, Mapping):
            raise FeedError(f"{place}: a Row or a mapping is due, not {type(item).__name__}")
        else:
            columns.check_time(item, place)
            yield _Entry(place, item[columns.time], columns.pick(item))


def _file_entries(path: Path, columns: _Columns) -> Iterator[_Entry]:
    if not path.is_file():
        raise FeedError(f"{path}: there is no such file; give the path of a .csv, .csv.gz or .parquet file")
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _csv_entries(path, columns)
    if name.endswith(".parquet"):
        return _table_entries(_read_parquet(path), str(path), columns)
    raise FeedError(f"{path}: its kind is not known by its name; use a .csv, .csv.gz or .parquet file")


def _csv_entries(path: Path, columns: _Columns) -> Iterator[_Entry]:
    opener: Callable[..., Any] = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield from _csv_lines(csv.reader(file, strict=True), path, columns)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise FeedError(f"{path}: it cannot be read as CSV in UTF-8: {error}") from error


def _csv_lines(lines: Any, path: Path, columns: _Columns) -> Iterator[_Entry]:
    header = [name.strip() for name in next(lines, [])]
    if not header:
        raise FeedError(f"{path}: the file is empty; its first line must name the columns")
    names = columns.choose(header, str(path))
    positions = [(name, header.index(name)) for name in names]
    time = header.index(columns.time)
    read = 0
    for cells in lines:
        if not cells:
            continue
        place = f"{path}, line {lines.line_num}"
        if len(cells) != len(header):
            raise FeedError(f"{place}: it has {len(cells)} cells, but the first line names {len(header)} columns")
        yield _Entry(place, cells[time], {name: _cell(cells[at]) for name, at in positions})
        read += 1
    if not read:
        raise FeedError(f"{path}: it names columns but holds no rows")


def _cell(text: str) -> float | str | None:
    try:
        number = float(text)
    except ValueError:
        return text if text.strip() else None
    return text if "_" in text else number  # float() accepts 1_000, which nobody writes in a CSV to mean a number


def _read_parquet(path: Path) -> Any:
    for library in ("pandas", "polars"):
        try:
            return importlib.import_module(library).read_parquet(path)
        except ImportError:  # pandas raises this too if pyarrow is missing
            continue
        except Exception as error:  # each library has its own errors for a damaged file
            raise FeedError(f"{path}: {library} cannot read it as Parquet: {error}") from error
    raise MissingExtra("pandas", "tables")


def _table_entries(table: Any, origin: str, columns: _Columns) -> Iterator[_Entry]:
    """Yield the entries of a pandas or polars DataFrame. A pandas index with the name of the time is the time."""
    if _is_pandas(table):
        if columns.time not in table.columns and columns.time in table.index.names:
            table = table.reset_index()
        # By position, since two columns may have one name; `choose` refuses that with a sentence.
        series = [table.iloc[:, at] for at in range(table.shape[1])]
        lists = {str(one.name): one.astype(object).where(one.notna(), None).tolist for one in series}
    else:
        series = table.get_columns()
        lists = {one.name: one.to_list for one in series}
    names = columns.choose([str(one.name) for one in series], origin)
    times = lists[columns.time]()
    if not times:
        raise FeedError(f"{origin}: it holds no rows")
    values = zip(*[lists[name]() for name in names], strict=True) if names else iter([()] * len(times))
    for index, (time, cells) in enumerate(zip(times, values, strict=True)):
        yield _Entry(f"{origin}, row {index}", time, dict(zip(names, cells, strict=True)))


def _checked(entries: Iterable[_Entry]) -> Iterator[Row]:
    """Yield the rows of the entries, and check that each is later than the one before."""
    last: Row | None = None
    last_place = ""
    for entry in entries:
        time = _read_time(entry.time, entry.place)
        if last is not None and time <= last.time:
            raise FeedError(
                f"{entry.place}: its time {time} is not later than {last.time} of {last_place}; "
                "sort by time and keep one row for each"
            )
        last, last_place = Row(time, _read_values(entry)), entry.place.rpartition(", ")[2]
        yield last


def _read_values(entry: _Entry) -> dict[str, Any]:
    plain = ((name, _plain(value)) for name, value in entry.values.items())
    values = {name: value for name, value in plain if value is not None}
    for name, value in values.items():
        if isinstance(value, float) and math.isinf(value):
            raise FeedError(f"{entry.place}: {name} is {value}; a value must be finite, or left out")
    return values


def _plain(value: Any) -> Any:
    """Return the value as a type that JSON has; None if it is missing."""
    value = _scalar(value)
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, date):
        return value.isoformat()
    return value


def _scalar(value: Any) -> Any:
    """Convert a numpy scalar to Python's type without importing numpy; return anything else as it is."""
    if getattr(value, "shape", None) != () or not hasattr(value, "item"):
        return value
    if getattr(value.dtype, "kind", "") == "M":
        value = value.astype("datetime64[us]")  # item() would turn finer ones into integers
    return value.item()


def _read_time(value: Any, place: str) -> datetime:
    with suppress(TypeError, ValueError, OverflowError):
        time = _as_datetime(_scalar(value))
        if time is not None:
            return _utc(time)
    raise FeedError(
        f"{place}: the time {value!r} is not readable; "
        "write ISO 8601 (2024-01-31 or 2024-01-31T09:30:00Z) or epoch seconds"
    )


def _as_datetime(value: Any) -> datetime | None:
    if value != value:  # NaN and NaT
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return datetime.fromisoformat(value.strip())
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime(warn=False)  # a pandas Timestamp, without its nanoseconds
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return _EPOCH + timedelta(seconds=float(value)) if is_number and not _is_date_without_dashes(float(value)) else None


def _is_date_without_dashes(second: float) -> bool:
    """20240131 is a date that was written without dashes, hardly a second of August 1970."""
    if 19_000_101 <= second <= 21_001_231:
        with suppress(ValueError):
            date(int(second) // 10_000, int(second) // 100 % 100, int(second) % 100)
            return True
    return False


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
