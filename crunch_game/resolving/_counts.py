"""Count: how many rows between the slot and the horizon are events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from crunch_game._public import public
from crunch_game._quantities import Duration, described, seconds
from crunch_game.errors import GameError
from crunch_game.feeds import History
from crunch_game.feeds.base import Row
from crunch_game.resolving._lookup import is_due, length
from crunch_game.resolving.base import Never
from crunch_game.storage.base import Prediction


@public
@dataclass(frozen=True, slots=True)
class Count:
    """A `resolve`: how many rows after the slot, up to the horizon and with it, are events.

    Args:
        where: `(row, prediction) -> bool`, whether the row is one.
        max_age: How far apart two rows may be, from the last one at or before the slot to the first at or after the
            horizon: in a longer silence events may have been missed, so that is Never. By default as much as the
            horizon is long. A feed that has a row only where there is an event wants more.
        wait: How long after the horizon late rows are waited for, by the rows' own times.

    Raises:
        GameError: `where` is no function, or a duration is none.
    """

    where: Callable[[Row, Prediction], object]
    max_age: Duration | None = field(default=None, kw_only=True)
    wait: Duration = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.where):
            raise GameError(f"where is {described(self.where)}; give a function (row, prediction) -> bool")
        if self.max_age is not None:
            seconds(self.max_age, "max_age", zero=True)
        seconds(self.wait, "wait", zero=True)

    def __call__(self, prediction: Prediction, history: History) -> int | Never | None:
        """The outcome; None if it is not known yet, Never if it never will be."""
        after = history.first_from(prediction.resolves_at)
        if after is None or not is_due(prediction, history, self.wait):
            return None
        before = history.at(prediction.at)
        if before is None:
            return Never(f"there is no row at or before {prediction.at:%Y-%m-%d %H:%M:%S} UTC: events may be missing")
        longest = length(self.max_age, prediction.resolves_at - prediction.at, "max_age")
        inside = [row for row in history.between(prediction.at, prediction.resolves_at) if row.time > prediction.at]
        for earlier, later in pairwise([before, *inside, after]):
            if later.time - earlier.time > longest:
                return Never(
                    f"there is no row from {earlier.time:%Y-%m-%d %H:%M:%S} to {later.time:%Y-%m-%d %H:%M:%S} UTC: "
                    "events may be missing"
                )
        return sum(bool(self.where(row, prediction)) for row in inside)
