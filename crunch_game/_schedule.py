"""When a prediction is due: time is divided into slots, and a round is played once in each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GRACE = 0.1
"""The share of a slot after which its round counts as late."""


@dataclass(frozen=True, slots=True)
class Due:
    """A round that is to be played now.

    Attributes:
        slot: When its slot began; UTC.
        late: Seconds since then, if more than a tenth of a slot; else 0.
        missed: How many slots since the last round were not played.
    """

    slot: datetime
    late: float
    missed: int


def due(every: float, last: datetime | None, now: datetime) -> Due | None:
    """Return the round to play, or None if one was played in this slot.

    Slots begin at whole multiples of `every` since 1970 UTC, so that they are the same after a restart.

    Args:
        every: Seconds from slot to slot.
        last: When the last round was played; None if there was none.
        now: The current time.
    """
    slot = _slot(every, now)
    played = None if last is None else _slot(every, last)
    if played is not None and slot <= played:
        return None
    began = _EPOCH + slot * timedelta(seconds=every)
    late = (now - began).total_seconds()
    first = played is None
    return Due(began, late if late > _GRACE * every and not first else 0.0, 0 if played is None else slot - played - 1)


def next_slot(every: float, last: datetime | None, now: datetime) -> float:
    """Return the seconds from `now` until a round is due; 0 if one is."""
    if due(every, last, now) is not None:
        return 0.0
    following = _EPOCH + (_slot(every, last or now) + 1) * timedelta(seconds=every)
    return max(0.0, (following - now).total_seconds())


def _slot(every: float, time: datetime) -> int:
    # timedelta counts whole microseconds; with floats, 0.3 // 0.1 would be 2.
    return (time - _EPOCH) // timedelta(seconds=every)
