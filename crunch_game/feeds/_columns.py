"""Which column has the time, which the key of a tidy table, and which the values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from crunch_game.errors import FeedError
from crunch_game.feeds._numbers import NUMERIC
from crunch_game.feeds._times import USUAL_NAMES, Times

_USUAL_KEYS: Final = ("asset", "symbol", "ticker")
"""What columns are called that say what a row of a tidy table is about, in any case of letters."""
_UNNAMED: Final = ("", "Unnamed: 0", "__index_level_0__", "index")
"""What the column of an index without a name is called, by the libraries that write it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row that is not read yet: where it is, its time as written, its values by name, when it arrived."""

    place: str
    time: object
    values: Mapping[str, object]
    arrived: datetime | None = None


Timed = tuple[datetime, Entry]
"""An entry whose time is read."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the author said of the columns.

    Attributes:
        time: The name of the time; None where it is to be found.
        asked: The names of the values; None for all.
        pivot: The name of the key; None where it is to be found if it is needed.
    """

    time: str | None
    asked: Sequence[str] | None
    pivot: str | None

    def time_among(
        self, names: Sequence[str], origin: str, first: Callable[[str], object], times: Collection[str] = ()
    ) -> str:
        """Return the name of the time column.

        Args:
            names: Of all columns.
            origin: Where they are, for the error.
            first: Gives the first value of a column.
            times: The names of those that cannot be anything else, such as a table's index of times.

        Raises:
            FeedError: There is none, or which one it is cannot be told.
        """
        found = ", ".join(map(repr, names)) if "" in names else ", ".join(names) or "none"
        if self.time is not None:
            if self.time not in names:
                raise FeedError(
                    f"{origin}: there is no time column {self.time!r}; name it with time=..., the columns are: {found}"
                )
            return self.time
        candidates = [name for name in names if name in times or name.strip().lower() in USUAL_NAMES]
        if not candidates:
            candidates = [name for name in names if name in _UNNAMED and _is_date(first(name))]
        if not candidates:
            raise FeedError(f"{origin}: there is no time column; name it with time=..., the columns are: {found}")
        if len(candidates) > 1:
            several = " and ".join(map(repr, candidates))
            raise FeedError(f"{origin}: {several} may be the time; name it with time=..., the columns are: {found}")
        return candidates[0]

    def check(self, names: Iterable[str], origin: str) -> None:
        """Refuse what was asked for and is not there."""
        names = list(names)
        found = ", ".join(names) or "none"
        for name in (*(self.asked or ()), *([self.pivot] if self.pivot is not None else ())):
            if name not in names:
                raise FeedError(f"{origin}: there is no column {name!r}; the columns are: {found}")

    def to_read(self, names: Iterable[str], time: str) -> list[str]:
        """The columns that are needed: the values', and those by which a tidy table might be pivoted."""
        return [
            name for name in names if name != time and (self.asked is None or name in self.asked or self.is_key(name))
        ]

    def is_key(self, name: str) -> bool:
        """Whether a column is the key, or may be by its name."""
        return name == self.pivot if self.pivot is not None else names_a_key(name)

    def picked(self, timed: Timed) -> Timed:
        """An entry with only the values that were asked for."""
        time, entry = timed
        return timed if self.asked is None else (time, replace(entry, values=self.pick(entry.values)))

    def pick(self, values: Mapping[str, object]) -> Mapping[str, object]:
        """The values that were asked for, in that order."""
        return values if self.asked is None else {name: values[name] for name in self.asked if name in values}


def names_a_key(name: str) -> bool:
    """Whether a column is called as what a tidy table is pivoted by."""
    return name.strip().lower() in _USUAL_KEYS


def _is_date(value: object) -> bool:
    """Whether a value is a date without doubt: a number may as well count the rows."""
    with suppress(FeedError):
        Times().read(value, "")
        return not isinstance(value, int | float) and not (isinstance(value, str) and NUMERIC.fullmatch(value))
    return False
