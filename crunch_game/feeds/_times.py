"""Reads the times of files and tables: ISO 8601, epoch seconds to nanoseconds, dates written without dashes."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from crunch_game.errors import FeedError
from crunch_game.feeds._cleaning import is_missing, plain_datetime
from crunch_game.feeds._numbers import NUMERIC, plain_scalar

USUAL_NAMES: Final = ("time", "date", "datetime", "timestamp")
"""What columns of times are called, in any case of letters."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2100
_FIRST: Final = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
_END: Final = datetime(_LAST_YEAR + 1, 1, 1, tzinfo=UTC)
_WRITTEN: Final[dict[int, str]] = {
    4: "%Y",
    6: "%Y%m",
    8: "%Y%m%d",
    10: "%Y%m%d%H",
    12: "%Y%m%d%H%M",
    14: "%Y%m%d%H%M%S",
}
"""How dates are written without dashes, by their digits."""
_SMALLEST: Final = {10**17: "nanoseconds", 10**14: "microseconds", 10**11: "milliseconds", 0: "seconds"}
"""The unit of what is at least so far from zero: in the next greater one, it would be of the year 5138 or later."""
_IN_A_SECOND: Final = {"nanoseconds": 10**9, "microseconds": 10**6, "milliseconds": 10**3, "seconds": 1}
_MONTH: Final = re.compile(r"\d{4}-\d{2}")
_HOW: Final = "write ISO 8601 (2024-01-31 or 2024-01-31T09:30:00Z) or epoch seconds"


class Times:
    """Reads the times of one column, in UTC. A time that has no zone is in UTC.

    Of numbers, the first one says what all of them are: years (2024), months (202401), days (20240131), the same with
    minutes or seconds (20240131093000), or epoch seconds, milliseconds, microseconds or nanoseconds, by magnitude.
    """

    def __init__(self) -> None:
        self._unit: str | None = None
        self._digits = 0
        """Of dates without dashes; 0 where the numbers are of a unit."""

    def read(self, value: object, place: str) -> datetime:
        """Return the time of one row.

        Raises:
            FeedError: It cannot be read, or not with certainty; `place` says where it is.
        """
        moment: datetime | None = None
        with suppress(TypeError, ValueError, OverflowError, ArithmeticError):
            moment = self._moment(plain_scalar(value), place)
        if moment is None:
            raise FeedError(f"{place}: the time {value!r} is not readable; {_HOW}")
        return moment

    def _moment(self, value: Any, place: str) -> datetime | None:
        if is_missing(value):
            return None
        if isinstance(value, datetime):
            return in_utc(plain_datetime(value))
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, str):
            written = value.strip()
            if not NUMERIC.fullmatch(written):
                return in_utc(datetime.fromisoformat(f"{written}-01" if _MONTH.fullmatch(written) else written))
            value = int(written) if written.isdigit() else Decimal(written)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            whole = int(value)
            return self._counted(whole if value == whole else value, place)
        return None

    def _counted(self, number: float | Decimal, place: str) -> datetime:
        """Read a number; a whole one is an int."""
        if not self._unit and not self._digits:
            if isinstance(number, int) and _may_be_date(number, place):
                self._digits = len(str(number))
            else:
                size = abs(float(number))
                self._unit = next(unit for least, unit in _SMALLEST.items() if size >= least)
        if self._unit:
            moment = _since_epoch(number, _IN_A_SECOND[self._unit])
            if _FIRST <= moment < _END:
                return moment
            raise FeedError(
                f"{place}: the time {number} is not readable: in {self._unit} since 1970 it is of the year "
                f"{moment.year}; {_HOW}"
            )
        if isinstance(number, int) and len(str(number)) == self._digits and _may_be_date(number, place):
            return _without_dashes(number)
        raise FeedError(
            f"{place}: the time {number} is not readable: it is no date of {self._digits} digits, as those before; "
            f"{_HOW}"
        )


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one that has no zone is in UTC already."""
    return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment.astimezone(UTC)


def _may_be_date(number: int, place: str) -> bool:
    """Whether a number is a date without dashes, hardly a second of 1970.

    Raises:
        FeedError: It may be, but there is no such date; or it may be a date and an hour, or epoch seconds.
    """
    text = str(number)
    if len(text) not in _WRITTEN or not _FIRST_YEAR <= int(text[:4]) <= _LAST_YEAR:
        return False
    try:
        moment = _without_dashes(number)
    except ValueError:
        if len(text) in (10, 12):  # epoch seconds, or milliseconds of 1976
            return False
        raise FeedError(
            f"{place}: the time {number} is not readable: it looks like a date without dashes, but there is none such; "
            f"{_HOW}"
        ) from None
    if len(text) == 10:
        raise FeedError(
            f"{place}: the time {number} may be {moment:%Y-%m-%d %H} h or, in epoch seconds, "
            f"{_since_epoch(number, 1):%Y-%m-%d}; write ISO 8601, such as {moment:%Y-%m-%dT%H:%MZ}"
        )
    return True


def _without_dashes(number: int) -> datetime:
    return datetime.strptime(str(number), _WRITTEN[len(str(number))]).replace(tzinfo=UTC)


def _since_epoch(number: float | Decimal, in_a_second: int) -> datetime:
    if isinstance(number, int):
        return _EPOCH + timedelta(microseconds=number * 10**6 // in_a_second)
    return _EPOCH + timedelta(seconds=float(number) / in_a_second)
