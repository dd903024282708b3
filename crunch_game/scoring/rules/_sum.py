"""Sum: two rules whose scores are added, the second one's in the unit of the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from crunch_game._public import public
from crunch_game.errors import GameError
from crunch_game.scoring._field import is_score
from crunch_game.scoring._lifting import lift, with_steps
from crunch_game.scoring.base import AnsweredRound, Rule, ScoreFunction, Scorer, Unit


@public
class Sum:
    """The first rule's score + factor * the second one's. What one of them cannot score, the sum cannot either.

    Args:
        first: A rule, a scorer, or a loss function.
        second: Another, of the same direction.
        factor: What brings the second one's unit to the first one's: a positive number, or a function of the round,
            such as `MedianRatio`.

    Attributes:
        higher_is_better: The direction of both.
        unit: The first one's.
        strictly_proper: Whether both are, and the factor is a number, which no answer moves.

    Raises:
        GameError: One of them is no rule, they differ in direction, or the factor is no positive number.
    """

    def __init__(
        self,
        first: Rule | Scorer | ScoreFunction,
        second: Rule | Scorer | ScoreFunction,
        factor: float | Callable[[AnsweredRound], float] = 1.0,
    ) -> None:
        if not callable(factor) and not 0 < factor < math.inf:
            raise GameError(f"Sum(factor={factor!r}): factor must be a positive number, or a function of the round")
        self._scorers = (first, second)
        self._first, self._second = lift(first), lift(second)
        if self._first.higher_is_better != self._second.higher_is_better:
            raise GameError(f"{first!r} and {second!r} cannot be added: they differ in direction")
        self._factor = factor
        self.higher_is_better = self._first.higher_is_better
        self.unit: Unit = self._first.unit
        self.strictly_proper: bool = not callable(factor) and all(
            getattr(scorer, "strictly_proper", False) for scorer in self._scorers
        )

    def prepare(self) -> None:
        """Load what both need.

        Raises:
            MissingExtra: A library is not installed.
        """
        for scorer in self._scorers:
            if hasattr(scorer, "prepare"):
                scorer.prepare()

    def with_steps(self, steps: Callable[[Mapping[str, Any]], int | None]) -> Sum:
        """Return the sum of the two for answers of so many steps, if they count them."""
        first, second = (with_steps(scorer, steps) for scorer in self._scorers)
        counts = first is not self._scorers[0] or second is not self._scorers[1]
        return Sum(first, second, self._factor) if counts else self

    def check(self, value: Any, arguments: Mapping[str, Any]) -> None:
        """Check an answer as it arrives, as both do.

        Raises:
            ValueError: One of them could not score it, and why.
        """
        for scorer in self._scorers:
            if hasattr(scorer, "check"):
                scorer.check(value, arguments)

    def score_round(self, answered: AnsweredRound, /) -> Mapping[str, float | Exception]:
        """Return the sum for every answer.

        Raises:
            ValueError: The factor is not a finite number that is 0 or more.
        """
        factor = self._factor(answered) if callable(self._factor) else self._factor
        if not 0 <= factor < math.inf:
            raise ValueError(f"the factor of a sum must be a finite number, 0 or more, and is {factor!r}")
        first, second = self._first.score_round(answered), self._second.score_round(answered)
        return {model_id: _added(first[model_id], second[model_id], factor) for model_id in first if model_id in second}


@public
class MedianRatio:
    """A factor: the median, over the answers of a round, of one rule's score divided by another's.

    If `like` measures the same as `rule` in the unit of a third rule, it brings that third one to the unit of `rule`.
    The outcome and the others move it, so that a sum with it is not strictly proper.

    Args:
        rule: A rule, a scorer, or a loss function.
        like: Another. Answers where it is 0, or that one of the two cannot score, are left out.
    """

    def __init__(self, rule: Rule | Scorer | ScoreFunction, like: Rule | Scorer | ScoreFunction) -> None:
        self._rule, self._like = lift(rule), lift(like)

    def __call__(self, answered: AnsweredRound) -> float:
        """Return the factor of a round.

        Raises:
            ValueError: No answer has a ratio.
        """
        above, below = self._rule.score_round(answered), self._like.score_round(answered)
        pairs = ((above.get(model_id), below.get(model_id)) for model_id in answered.answers)
        ratios = [one / other for one, other in pairs if is_score(one) and is_score(other) and other != 0]
        if not ratios:
            raise ValueError("no answer of this round has both scores whose ratio the factor is")
        return median(ratios)


def _added(first: float | Exception, second: float | Exception, factor: float) -> float | Exception:
    """The sum; or the reason why one of them has no score."""
    if isinstance(first, Exception):
        return first
    return second if isinstance(second, Exception) else first + factor * second
