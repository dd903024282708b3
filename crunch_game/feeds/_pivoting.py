"""Pivots a tidy table, which has one row per time and asset, into one row per time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from crunch_game.errors import FeedError
from crunch_game.feeds._cleaning import is_missing
from crunch_game.feeds._columns import Columns, Entry, Timed


def in_order(entries: Sequence[Timed], columns: Columns) -> Sequence[Timed]:
    """Return the entries with the values that were asked for, pivoted if they are a tidy table.

    They are if `columns` say so, or where times do not increase, exactly one column has the name of a key, and each
    pair of both is there once.

    Raises:
        FeedError: Times do not increase, and how to pivot cannot be told; or a pair of time and key is there twice.
    """
    if columns.pivot is not None:
        return _pivoted(entries, columns.pivot, columns)
    if any(entry.arrived for _, entry in entries) or all(a[0] < b[0] for a, b in pairwise(entries)):
        return [columns.picked(timed) for timed in entries]
    names = list(dict.fromkeys(name for _, entry in entries for name in entry.values))
    keys = [name for name in names if columns.is_key(name)]
    if len(keys) == 1 and _is_unique(entries, keys[0]) and len({entry.values[keys[0]] for _, entry in entries}) > 1:
        return _pivoted(entries, keys[0], columns)
    fitting = [name for name in names if _is_unique(entries, name)]
    if fitting and len({time for time, _ in entries}) < len(entries):
        choice = " or ".join(f"pivot={name!r}" for name in fitting)
        raise FeedError(
            f"{_origin(entries[0][1].place)}: several rows have the same time; give {choice} for one row per time, "
            f"with the values of each {fitting[0] if len(fitting) == 1 else 'of these'} by its name"
        )
    return [columns.picked(timed) for timed in entries]


def _is_unique(entries: Sequence[Timed], key: str) -> bool:
    """Whether each entry has a text as its key, and no two the same at one time."""
    found = [(time, entry.values.get(key)) for time, entry in entries]
    return all(isinstance(name, str) and name for _, name in found) and len(set(found)) == len(found)


def _pivoted(entries: Sequence[Timed], key: str, columns: Columns) -> list[Timed]:
    wanted = list(dict.fromkeys(name for _, entry in entries for name in columns.pick(entry.values) if name != key))
    rows: dict[datetime, dict[str, object]] = {}
    places: dict[tuple[datetime, str], str] = {}
    for time, entry in entries:
        given = entry.values.get(key)
        if is_missing(given) or given == "":
            raise FeedError(f"{entry.place}: it has no {key}, by which the table is pivoted")
        asset = str(given)
        if (time, asset) in places:
            raise FeedError(
                f"{entry.place}: a second row of {asset} at {time}, after {_short(places[time, asset])}; keep one"
            )
        places[time, asset] = entry.place
        row = rows.setdefault(time, {})
        for name in wanted:
            if name in entry.values:
                row[asset if len(wanted) == 1 else f"{asset}.{name}"] = entry.values[name]
    origin = _origin(entries[0][1].place) if entries else ""
    return [(time, Entry(f"{origin}, rows of {time}", time, rows[time])) for time in sorted(rows)]


def _origin(place: str) -> str:
    """The file or table of a place; "the rows" where it is one of several mappings."""
    return place.rpartition(", ")[0] or "the rows"


def _short(place: str) -> str:
    return place.rpartition(", ")[2]
