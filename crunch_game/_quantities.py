"""Quantities as people write and read them: durations, numbers of things, bytes; and anything else that they gave."""

from __future__ import annotations

import re
from datetime import timedelta
from reprlib import repr as brief
from types import FunctionType, ModuleType
from typing import Any

from crunch_game.errors import GameError

Duration = float | timedelta | str

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d|w)")


def seconds(duration: Duration, what: str = "duration", *, zero: bool = False) -> float:
    """Convert a duration to seconds; they are positive and finite.

    Args:
        duration: Seconds, a timedelta, or a number with a unit: ms, s, m (or min), h, d, w.
        what: What the duration is of, for the error message.
        zero: Whether it may be none at all.

    Raises:
        GameError: It is none of these, or not positive.
    """
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, str):
        match = _TEXT.fullmatch(duration.strip())
        if match is None:
            raise GameError(
                f'{what} {duration!r} is not a duration; write seconds, or text such as "90s", "1h" or "7d"'
            )
        value = float(match[1]) * _UNITS[match[2]]
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        value = float(duration)
    else:
        raise GameError(f'{what} {duration!r} is not a duration; write seconds, a timedelta, or text such as "1h"')
    if not 0 < value < float("inf") and not (zero and value == 0):
        raise GameError(f"{what} {duration!r} must be longer than zero and finite")
    return value


def counted(number: int, thing: str) -> str:
    """The number and what it counts: "1 round", "1,000 rounds"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def described(given: Any) -> str:
    """What somebody gave where something else is meant: "the class CRPS", "an instance of Mean", "'x.csv'"."""
    if isinstance(given, type):
        return f"the class {given.__name__}"
    if isinstance(given, ModuleType | FunctionType):
        return f"the {'module' if isinstance(given, ModuleType) else 'function'} {given.__name__}"
    if given is None or isinstance(given, str | bytes | int | float | list | tuple | dict | set):
        return brief(given)
    return f"an instance of {type(given).__name__}"  # its repr may be a page, and is somebody else's code


def mebibytes(size: int) -> str:
    """A number of bytes: "64 MiB", "0.5 MiB"."""
    return f"{size / (1 << 20):g} MiB"
