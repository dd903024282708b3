"""Board: which rounds a ranking counts, how much each, over which windows, and what its places are by."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from crunch_game._public import record
from crunch_game._quantities import Duration, described, seconds
from crunch_game.errors import GameError
from crunch_game.scoring.base import Unit

Missing: TypeAlias = Literal["worst"] | float | Callable[[Sequence[float]], float]
"""The score of a model in a round without one: the worst of the round, a constant, or a function of the round's scores
in ascending order."""

DEFAULT_WINDOWS: Mapping[str, Duration] = {"recent": "24h", "steady": "72h", "anchor": "7d"}


@record
class Last:
    """A window of the last `n` rounds that count for the model, its absences included.

    Raises:
        GameError: `n` is no whole number from 1.
    """

    n: int

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            raise GameError(f"Last({described(self.n)}): give a number of rounds, such as Last(600)")


@record
class RoundInfo:
    """What a board chooses and weighs a round by. Its outcome is not there: to choose by that would not be proper.

    Attributes:
        key: The name of the prediction that the game asks for.
        at: The slot of the round; aware, UTC.
        horizon: Seconds.
        arguments: Those that all models were given, by parameter name.
    """

    key: str
    at: datetime
    horizon: float
    arguments: Mapping[str, Any]


@record
class Metric:
    """What a board must know of the rule that its scores come from.

    Attributes:
        higher_is_better: The direction.
        unit: What differences of scores are measured in: "usual", a number, or None where they are normalised already.
    """

    higher_is_better: bool = False
    unit: Unit = "usual"

    def __post_init__(self) -> None:
        number = isinstance(self.unit, int | float) and not isinstance(self.unit, bool)
        if number and not (math.isfinite(float(self.unit or 0)) and self.unit):
            raise GameError(f"a rule's unit {self.unit!r} must be finite and not zero")
        if not number and self.unit not in ("usual", None):
            raise GameError(f'a rule\'s unit is "usual", a number or None, not {described(self.unit)}')


@record
class Board:
    """One ranking of a game: which rounds it counts, over which windows, and what its places are by.

    By skill, a round's scores are compared with those of the others, in units of what is usually lost: rounds of
    different scale can be averaged, and sitting out a round pays for nobody who is not far behind. By the mean, raw
    scores are averaged, and `missing` is the score of whom has none.

    Args:
        name: The board's name.
        metric: Whose scores it counts; None where the game has one metric.
        of: Which rounds it counts; all by default.
        weight: A round's weight; 1 by default.
        windows: Lengths by name: seconds, a timedelta, text such as "7d", or Last(n).
        rank_by: The window that determines the ranks; the longest by default.
        least: For a rank, a model has scores of its own in this share of the window's rounds (0.1 is a tenth; of
            Last(n), of n), or in this number of them (an int). Below, it is shown at the bottom, as provisional.
        by: "skill", or "mean".
        missing: On a board by the mean, the score of a model in a round without one: "worst", a number, or a function
            of the round's scores in ascending order. By default what the rule gives an absentee, else the worst.
        reference: The benchmark that skill compares with; by default the median of the others.
        newcomers: "absent": on a board by the mean, the rounds before a model's first count as if it had been absent.

    Raises:
        GameError: One of these is not as said here.
    """

    name: str
    _: KW_ONLY
    metric: str | None = None
    of: Callable[[RoundInfo], bool] | None = None
    weight: Callable[[RoundInfo], float] | None = None
    windows: Mapping[str, Duration | Last] = field(default_factory=lambda: dict(DEFAULT_WINDOWS))
    rank_by: str | None = None
    least: float | int = 0.1
    by: Literal["skill", "mean"] = "skill"
    missing: Missing | None = None
    reference: str | None = None
    newcomers: Literal["absent"] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise GameError(f'a board has a name, such as Board("global"), not {described(self.name)}')
        lengths = self.lengths()
        if self.rank_by is None:
            if not lengths:
                raise self._wrong('it has no window; give one, for example windows={"anchor": "7d"}')
            object.__setattr__(self, "rank_by", max(lengths, key=lambda name: _long(lengths[name])))
        elif self.rank_by not in lengths:
            raise self._wrong(
                f"rank_by {self.rank_by!r} is not a window; the windows are {', '.join(lengths) or 'none'}"
            )
        self._check_least()
        self._check_ways()

    def lengths(self) -> dict[str, timedelta | Last]:
        """The windows, with durations as timedeltas."""
        if not isinstance(self.windows, Mapping):
            raise self._wrong(f'windows is {described(self.windows)}; give lengths by name, such as {{"anchor": "7d"}}')
        return {
            name: window if isinstance(window, Last) else timedelta(seconds=seconds(window, f"windows[{name!r}]"))
            for name, window in self.windows.items()
        }

    def needed(self, of: int) -> int:
        """How many scores of its own a model needs for a rank, in a window of so many rounds."""
        # What was written: 0.1 of 30 is 3, and no float above it.
        return self.least if isinstance(self.least, int) else math.ceil(Fraction(repr(self.least)) * of)

    def weight_of(self, info: RoundInfo) -> float | None:
        """A round's weight; None for a round that is not the board's.

        Raises:
            GameError: The weight is not positive and finite.
        """
        if self.of is not None and not self.of(info):
            return None
        if self.weight is None:
            return 1.0
        weight = self.weight(info)
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight <= sys.float_info.max:
            raise self._wrong(
                f"the weight of the round {info.key!r} at {info.at.isoformat()} must be a finite number above zero, "
                f"not {described(weight)}"
            )
        return float(weight)

    def _check_least(self) -> None:
        least = self.least
        if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least < math.inf:
            raise self._wrong(
                f"least is a share, such as 0.1, or a number of rounds, such as 200, not {described(least)}"
            )
        if isinstance(least, float) and least > 1:
            raise self._wrong(f"least {least!r} is more than all rounds; a number of rounds is written without a point")

    def _check_ways(self) -> None:
        if self.by not in ("skill", "mean"):
            raise self._wrong(f'by is "skill" or "mean", not {described(self.by)}')
        if self.newcomers not in (None, "absent"):
            raise self._wrong(f'newcomers is None or "absent", not {described(self.newcomers)}')
        if self.by == "skill":
            given = [name for name in ("missing", "newcomers") if getattr(self, name) is not None]
            if given:
                raise self._wrong(f'{given[0]} is only for a board by the mean; write by="mean" too, or leave it out')
        elif self.reference is not None:
            raise self._wrong("reference is only for a board by skill: a mean compares with nobody")
        if isinstance(self.missing, int | float) and not math.isfinite(self.missing):
            raise self._wrong(_NO_SCORE.format(self.missing))
        number = isinstance(self.missing, int | float) and not isinstance(self.missing, bool)
        if not (number or self.missing is None or self.missing == "worst" or callable(self.missing)):
            raise self._wrong(f'missing is "worst", a number or a function, not {described(self.missing)}')

    def missing_score(self, scores: Sequence[float], *, higher_is_better: bool) -> float:
        """The score of a model in a round without one, given the round's scores in ascending order.

        Raises:
            GameError: The author's function did not give a finite number.
        """
        if self.missing is None or self.missing == "worst":
            return scores[0] if higher_is_better else scores[-1]
        value = self.missing(scores) if callable(self.missing) else self.missing
        # Infinity has no exact sum, and would rank a model last for the whole length of a window.
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise GameError(_NO_SCORE.format(value))
        return float(value)

    def _wrong(self, what: str) -> GameError:
        return GameError(f"board {self.name!r}: {what}")


_NO_SCORE = "the rule for missing predictions must give a finite number, got {!r}"


def _long(window: timedelta | Last) -> tuple[bool, float]:
    """Windows by length; durations are compared with each other, and come before numbers of rounds."""
    return (False, window.n) if isinstance(window, Last) else (True, window.total_seconds())
