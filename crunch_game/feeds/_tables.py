"""Reads CSV and Parquet files and tables of pandas and polars, whole, into entries."""

from __future__ import annotations

import csv
import gzip
import importlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crunch_game.errors import FeedError, MissingExtra
from crunch_game.feeds._cleaning import column_name
from crunch_game.feeds._columns import Columns, Entry, names_a_key
from crunch_game.feeds._times import USUAL_NAMES


def file_entries(path: Path, columns: Columns) -> Iterator[Entry]:
    """Return the entries of a file, whose kind its name says.

    Raises:
        FeedError: It cannot be read; the message says where, why and what to do.
        MissingExtra: It is a .parquet file, and neither pandas (with pyarrow) nor polars is installed.
    """
    if not path.is_file():
        raise FeedError(f"{path}: there is no such file; give the path of a .csv, .csv.gz or .parquet file")
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _csv_entries(path, columns)
    if name.endswith(".parquet"):
        return table_entries(_read_parquet(path), str(path), columns)
    raise FeedError(f"{path}: its kind is not known by its name; use a .csv, .csv.gz or .parquet file")


def is_pandas(source: object) -> bool:
    """Whether it is a pandas DataFrame, without importing pandas."""
    return hasattr(source, "iloc") and hasattr(source, "columns")


def table_entries(table: Any, origin: str, columns: Columns) -> Iterator[Entry]:
    """Yield the entries of a pandas or polars DataFrame. The index of the first may be the time, or the key."""
    index: dict[str, bool] = {}
    if is_pandas(table):
        cells, index = _pandas_columns(table, columns)
    else:
        cells = [(one.name, one.to_list) for one in table.get_columns()]
    names = [name for name, _ in cells]
    _refuse_twice(names, origin)
    lists = {name: read() for name, read in cells}
    times = [name for name, is_time in index.items() if is_time]
    time = columns.time_among(names, origin, lambda name: next(iter(lists[name]), None), times)
    columns.check(names, origin)
    if not lists[time]:
        raise FeedError(f"{origin}: it holds no rows")
    wanted = columns.to_read(names, time)
    if columns.asked is None:  # another index says nothing but where a row stands, unless it is a key
        spare = {name for name in index if not columns.is_key(name) and (index[name] or len(index) == 1)}
        wanted = [name for name in wanted if name not in spare]
    values = zip(*[lists[name] for name in wanted], strict=True) if wanted else iter([()] * len(lists[time]))
    for at, (moment, found) in enumerate(zip(lists[time], values, strict=True)):
        yield Entry(f"{origin}, row {at}", moment, dict(zip(wanted, found, strict=True)))


def _refuse_twice(names: Sequence[str], origin: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FeedError(f"{origin}: the column {twice[0]!r} is there more than once; rename one of them")


# pandas


def _pandas_columns(
    table: Any, columns: Columns
) -> tuple[list[tuple[str, Callable[[], list[object]]]], dict[str, bool]]:
    """Return the columns of a pandas DataFrame, those levels of its index that may be needed before them.

    They are by position, since two columns may have one name. With them, the levels' names, and which are of times.
    """
    levels = list(table.columns.names)
    found = [(_label(label, levels), _list_of(table.iloc[:, at])) for at, label in enumerate(table.columns)]
    index, is_time = [], {}
    for at, name in enumerate(table.index.names):
        level = table.index.get_level_values(at)
        named = str(name) if name is not None else "index" if table.index.nlevels == 1 else f"level_{at}"
        if getattr(level.dtype, "kind", "") == "M" or _is_needed(named, name is None, table, columns):
            index.append((named, _list_of(level)))
            is_time[named] = getattr(level.dtype, "kind", "") == "M"
    return index + found, is_time


def _is_needed(name: str, is_unnamed: bool, table: Any, columns: Columns) -> bool:
    """Whether a level of an index may be the time or the key of a tidy table."""
    if name in (columns.time, columns.pivot) or table.index.nlevels > 1:
        return True
    if is_unnamed:
        return not hasattr(table.index, "start")  # it is no mere count of the rows
    return name.strip().lower() in USUAL_NAMES or names_a_key(name)


def _list_of(values: Any) -> Callable[[], list[object]]:
    """The values of a column, when they are asked for. A type that knows gaps keeps its ints beside them."""
    return lambda: list(values.tolist())


def _label(label: object, levels: Sequence[object]) -> str:
    """The name of a column. Of several levels, that of the asset comes first, as in a pivoted table."""
    if isinstance(label, tuple) and len(label) == len(levels):
        parts = sorted(zip(label, levels, strict=True), key=lambda part: not names_a_key(str(part[1])))
        return column_name(tuple(part for part, _ in parts))
    return column_name(label)


def _read_parquet(path: Path) -> Any:
    for library in ("pandas", "polars"):
        try:
            return importlib.import_module(library).read_parquet(path)
        except ImportError:  # pandas raises this too if pyarrow is missing
            continue
        except Exception as error:  # each library has its own errors for a damaged file
            raise FeedError(f"{path}: {library} cannot read it as Parquet: {error}") from error
    raise MissingExtra("pandas", "tables")


# CSV


def _csv_entries(path: Path, columns: Columns) -> Iterator[Entry]:
    opener: Callable[..., Any] = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield from _csv_lines(csv.reader(file, strict=True), path, columns)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise FeedError(f"{path}: it cannot be read as CSV in UTF-8: {error}") from error


def _csv_lines(lines: Any, path: Path, columns: Columns) -> Iterator[Entry]:
    header = [name.strip() for name in next(lines, [])]
    if not header:
        raise FeedError(f"{path}: the file is empty; its first line must name the columns")
    _refuse_twice(header, str(path))
    places, rows = [], []
    for cells in lines:
        if not cells:
            continue
        place = f"{path}, line {lines.line_num}"
        if len(cells) != len(header):
            raise FeedError(f"{place}: it has {len(cells)} cells, but the first line names {len(header)} columns")
        places.append(place)
        rows.append(cells)
    first = dict(zip(header, rows[0] if rows else [""] * len(header), strict=True))
    time = columns.time_among(header, str(path), first.__getitem__)
    columns.check(header, str(path))
    if not rows:
        raise FeedError(f"{path}: it names columns but holds no rows")
    names = columns.to_read(header, time)
    at = header.index(time)
    values = [_numbers([cells[header.index(name)] for cells in rows]) for name in names]
    read = zip(*values, strict=True) if names else iter([()] * len(rows))
    for place, cells, found in zip(places, rows, read, strict=True):
        yield Entry(place, cells[at], dict(zip(names, found, strict=True)))


def _numbers(texts: Sequence[str]) -> list[object]:
    """Read the cells of a column: numbers, and text. The numbers are ints if all of them are written as such."""
    cells = [_cell(text) for text in texts]
    if any(isinstance(cell, float) and not math.isnan(cell) for cell in cells):
        return [float(text) if isinstance(cell, int) else cell for cell, text in zip(cells, texts, strict=True)]
    return list(cells)


def _cell(text: str) -> float | str:
    if "_" in text or not text.isascii():  # float() accepts 1_000, which nobody writes in a CSV to mean a number
        return text
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError:
        return text
