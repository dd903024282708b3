"""SquaredError and AbsoluteError: rules for points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from reprlib import repr as brief
from typing import Any

from crunch_game._public import public
from crunch_game.scoring.answers import LARGEST
from crunch_game.scoring.rules._base import Found, StepwiseRule, is_number


class _PointRule(StepwiseRule):
    takes = frozenset({"point"})

    def _split(self, value: Any) -> Sequence[Any]:
        steps = value if isinstance(value, list | tuple) else [value]
        if not steps:
            raise ValueError("the answer must be a number or a list of numbers, not []")
        return steps

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        return map(refused_point, steps)

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        pairs = zip(steps, outcomes, self._refused(steps), strict=True)
        return [error or self._loss(abs(point - outcome)) for point, outcome, error in pairs]

    def _loss(self, error: float) -> float:
        raise NotImplementedError


@public
class SquaredError(_PointRule):
    """The squared error of a point, lower is better. The best report is the mean.

    An answer is a number, or a list of them, one for each step; the outcome is as many numbers. The score is in the
    square of the outcome's unit.
    """

    formula = "(x − y)²"
    source = "Gneiting (2011), Journal of the American Statistical Association 106, 746-762"

    def _loss(self, error: float) -> float:
        return float(error) * float(error)


@public
class AbsoluteError(_PointRule):
    """The absolute error of a point, lower is better. The best report is the median.

    An answer is a number, or a list of them, one for each step; the outcome is as many numbers. The score is in the
    outcome's unit.
    """

    formula = "|x − y|"
    source = "Gneiting (2011), Journal of the American Statistical Association 106, 746-762"

    def _loss(self, error: float) -> float:
        return float(error)


def refused_point(point: Any) -> ValueError | None:
    """Why a point cannot be scored, whatever the outcome."""
    if is_number(point) and abs(point) <= LARGEST:
        return None
    return ValueError(f"a point must be a number within ±{LARGEST:g}, got {brief(point)}")
