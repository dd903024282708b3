"""Cleans rows: times in UTC, values of types that JSON has. Every feed's rows go through it, in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any, Final

from crunch_game.errors import FeedError
from crunch_game.feeds._numbers import NUMERIC, in_microseconds, plain_scalar
from crunch_game.feeds.base import FeedEvent, Row, ValueDropped

_DEEPEST: Final = 32
_FIRST_YEAR, _LAST_YEAR = 1000, 9000
"""Times so far from the ends of the calendar that a window, or a horizon, before or after them is a time too."""
_MISSING_TYPES: Final = {"NaTType", "NAType"}  # pandas', which raise when they are compared
_READY: Final = frozenset({int, bool})


def cleaned(row: object) -> Row:
    """Return a row as every part of a game takes it: with times in UTC, and values of types that JSON has.

    Subclasses of datetime, such as a pandas Timestamp, become datetimes;
    numbers of numpy and Decimals become Python's, dates become text, timedeltas seconds, arrays lists. A value that is
    None, NaN, NaT or blank text is missing, and left out. Numeric text stays text, and counts in `Row.prices`.

    Raises:
        FeedError: It is no Row, its time is none, or naive, or a value is infinite, or of no type that JSON has.
    """

    def refuse(name: str, unfit: Unfit) -> None:
        raise FeedError(f"the row of {moment}: {name} is {unfit.reason}")

    row, moment, arrived = _frame(row)
    return Row(moment, clean_values(row.data, refuse), arrived)


class Cleaner:
    """Cleans the rows of one live feed as `cleaned` does, but only leaves out of a row what is infinite or unreadable.

    What is left out of a row is told as ValueDropped: once for each name and kind, not with every row.

    Args:
        on_event: Called with the events.
    """

    def __init__(self, on_event: Callable[[FeedEvent], object] | None = None) -> None:
        self._tell = on_event or (lambda event: None)
        self._told: set[tuple[str, str]] = set()

    def clean(self, row: object) -> Row:
        """Return the row, cleaned.

        Raises:
            FeedError: It is no Row, or its time is none, or naive.
        """

        def tell(name: str, kind: str, reason: str) -> None:
            if (name, kind) not in self._told:
                self._told.add((name, kind))
                self._tell(ValueDropped(name, f"it is {reason}", moment))

        row, moment, arrived = _frame(row)
        data = clean_values(
            row.data,
            unfit=lambda name, unfit: tell(name, unfit.kind, unfit.reason),
            missing=lambda name, value: tell(name, "missing", f"missing ({_shown(value)})"),
        )
        return Row(moment, data, arrived)


def clean_values(
    values: Mapping[Any, Any],
    unfit: Callable[[str, Unfit], object],
    missing: Callable[[str, object], object] | None = None,
) -> dict[str, Any]:
    """Return the values, of types that JSON has, in a dict of their own: a feed may fill its old one anew.

    Args:
        values: By name.
        unfit: Called with the name of a value that cannot stay, and why.
        missing: Called with the name of a value that is missing, and what says so.
    """
    clean: dict[str, Any] = {}
    for label, value in values.items():
        name = label if type(label) is str and label.isascii() else column_name(label)
        kind = type(value)
        if kind in _READY or (kind is float and math.isfinite(value)):
            clean[name] = value
            continue
        try:
            plain = as_json(value)
        except Unfit as reason:
            unfit(name, reason)
            continue
        if plain is not None:
            clean[name] = plain
        elif missing is not None:
            missing(name, value)
    return clean


class Unfit(Exception):
    """A value that cannot stand in a row.

    Attributes:
        reason: What it is, and what to do.
        kind: "infinite" or "foreign".
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def as_json(value: Any, depth: int = 0) -> Any:
    """Return the value as a type that JSON has; None if it is missing.

    Raises:
        Unfit: It is infinite, or JSON has no form for it.
    """
    if value is None:
        return None
    if type(value) is str:
        return _text(value)
    value = plain_scalar(value)
    if isinstance(value, Enum):
        value = value.value
    if is_missing(value):
        return None
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, int):
        return value if type(value) in _READY else int(value)
    if isinstance(value, Decimal | Real):
        return _finite(value)
    if isinstance(value, datetime):
        return plain_datetime(value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _nested(value, depth)


def is_missing(value: Any) -> bool:
    """Whether a scalar is None, NaN, NaT or NA."""
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()  # a signaling one cannot be compared
    return isinstance(value, float) and math.isnan(value)


def plain_datetime(moment: datetime) -> datetime:
    """Return a moment of a subclass of datetime, such as a pandas Timestamp, as a datetime, to the microsecond."""
    if type(moment) is datetime:
        return moment
    return datetime.combine(
        date(moment.year, moment.month, moment.day),
        time(moment.hour, moment.minute, moment.second, moment.microsecond, moment.tzinfo, fold=moment.fold),
    )


def column_name(label: object) -> str:
    """Return the name of a value: text as it is; the levels of a label of several, joined with dots.

    Half a character, which JSON can escape and nobody can send, is written as its escape.
    """
    if type(label) is str:
        return label if label.isascii() else label.encode("utf-8", "backslashreplace").decode()
    if isinstance(label, tuple):
        return ".".join(str(level) for level in label if str(level))
    return str(label)


def _text(value: str) -> str | None:
    """Text as it is; None if it is blank, or says that it is no number. What says that it is infinite is."""
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise Unfit("text with half a character (a lone surrogate), which cannot be sent or stored", "foreign")
    written = value.strip()
    if not written:
        return None
    if written[-1] in "0123456789." and NUMERIC.fullmatch(written):
        _finite(written)  # 1e999 is a number, but not a finite one
        return value
    bare = written.lower().lstrip("+-")
    if bare in ("inf", "infinity"):
        _finite(written)
    return None if bare == "nan" else value


def _finite(value: Any) -> float:
    """A number as a float."""
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if math.isinf(found):
        raise Unfit(f"{found}; a value must be finite, or left out", "infinite")
    return found


def _nested(value: Any, depth: int) -> Any:
    if depth >= _DEEPEST:
        raise Unfit("nested too deeply for JSON, or holds itself; give numbers, text, lists and dicts", "foreign")
    if isinstance(value, Mapping):
        return {column_name(name): as_json(inner, depth + 1) for name, inner in value.items()}
    if hasattr(value, "tolist"):
        value = in_microseconds(value).tolist()
    if isinstance(value, list | tuple):
        return [as_json(inner, depth + 1) for inner in value]
    raise Unfit(f"a {type(value).__name__}, which JSON does not have; give a number, text, a list or a dict", "foreign")


def _frame(row: object) -> tuple[Row, datetime, datetime | None]:
    """Return the row, its time and its arrival, checked."""
    if not isinstance(row, Row):
        raise FeedError(f"a Row is due, not {_a(row)}")
    if not isinstance(row.data, Mapping):
        raise FeedError(f"the data of a Row is a mapping of values by name, not {_a(row.data)}")
    return row, _aware(row.time, "time"), None if row.arrived is None else _aware(row.arrived, "arrival")


def _aware(moment: object, what: str) -> datetime:
    if not isinstance(moment, datetime) or type(moment).__name__ in _MISSING_TYPES:
        raise FeedError(f"the {what} of a Row is an aware datetime, not {_shown(moment)}")
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise FeedError(f"the {what} of a row is in the year {moment.year}, as some sources say that they know none")
    if type(moment) is datetime and moment.tzinfo is UTC:
        return moment
    plain = plain_datetime(moment)
    if plain.utcoffset() is None:
        raise FeedError(f"the {what} {plain} of a row has no time zone; make it aware, such as by .replace(tzinfo=UTC)")
    return plain.astimezone(UTC)


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 40 else _a(value)


def _a(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
