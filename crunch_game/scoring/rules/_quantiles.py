"""Pinball and WeightedInterval: rules for quantiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from reprlib import repr as brief
from typing import Any, Literal

from crunch_game._public import public
from crunch_game.scoring.answers import LARGEST
from crunch_game.scoring.rules._base import Found, Steps, StepwiseRule, is_number

_NEAR = 1e-9
"""By how much a level may differ, such as 3 * 0.1 from 0.3."""


class LevelsOf(tuple[float, ...]):
    """The levels that a rule scores."""

    def __new__(cls, levels: Sequence[float]) -> LevelsOf:
        """Check them.

        Raises:
            ValueError: They do not increase between 0 and 1, both excluded, or there are none.
        """
        made = super().__new__(cls, map(float, levels))
        if not made or not all(0 < level < 1 for level in made) or any(low >= high for low, high in pairwise(made)):
            raise ValueError(f"levels increase between 0 and 1, both excluded, and there is at least one: not {levels}")
        return made


@public
class Pinball(StepwiseRule):
    """The mean pinball loss of quantiles, over their levels, lower is better.

    An answer is quantiles, or a list of them, one for each step; the outcome is a number for each. The score is in the
    outcome's unit.
    """

    formula = "mean over levels τ of (1{y ≤ q} − τ)(q − y)"
    source = "Gneiting (2011), Journal of the American Statistical Association 106, 746-762"
    takes = frozenset({"quantiles"})
    _factor = 1.0

    def __init__(self, levels: Sequence[float], *, steps: Steps = None, over: Literal["mean", "sum"] = "mean") -> None:
        """Make the rule.

        Args:
            levels: Those that an answer must have: who may choose levels chooses those at which nothing can be lost.
            steps: How many steps an answer has, or a function of the call's arguments that says so; another number of
                steps is refused on arrival. None: as many as the outcome has, which only shows at scoring.
            over: Whether an answer's score is the mean or the sum over its steps.

        Raises:
            ValueError: One of these is not what it may be.
        """
        super().__init__(steps=steps, over=over)
        self.levels = LevelsOf(levels)

    def _split(self, value: Any) -> Sequence[Any]:
        steps = value if isinstance(value, list | tuple) else [value] if isinstance(value, dict) else ()
        if not steps:
            raise ValueError(f"the answer must be quantiles or a list of them, not {brief(value)}")
        return steps

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        return [refused_quantiles(step, self.levels) for step in steps]

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        errors = list(self._refused(steps))
        right = [place for place, error in enumerate(errors) if error is None]
        losses = pinball_losses(
            [steps[place]["values"] for place in right], [outcomes[place] for place in right], self.levels
        )
        found: list[Any] = list(errors)
        for place, loss in zip(right, losses, strict=True):
            found[place] = self._factor * loss
        return found


@public
class WeightedInterval(Pinball):
    """The weighted interval score of central intervals, and of the median where that is a level, lower is better.

    An answer is quantiles, or a list of them, one for each step; the outcome is a number for each. The score is in the
    outcome's unit. With the weights of its authors it is twice the mean pinball loss, and nears the CRPS.
    """

    formula = "(|y − m| / 2 + Σ αₖ/2 · ((u − l) + 2/αₖ (l − y)⁺ + 2/αₖ (y − u)⁺)) / (K + 1/2)"
    source = "Bracher, Ray, Gneiting and Reich (2021), PLOS Computational Biology 17, e1008618"
    takes = frozenset({"quantiles"})
    _factor = 2.0

    def __init__(self, levels: Sequence[float], *, steps: Steps = None, over: Literal["mean", "sum"] = "mean") -> None:
        """Make the rule.

        Args:
            levels: Those that an answer must have, with 1 - level for each level.
            steps: As in Pinball.
            over: As in Pinball.

        Raises:
            ValueError: One of these is not what it may be.
        """
        super().__init__(levels, steps=steps, over=over)
        if any(abs(low + high - 1) > _NEAR for low, high in zip(self.levels, reversed(self.levels), strict=True)):
            raise ValueError(f"the levels of intervals are as far from 0 as from 1, not {list(self.levels)}")


def refused_quantiles(step: Any, levels: LevelsOf | None) -> ValueError | None:
    """Why quantiles cannot be scored, whatever the outcome."""
    if levels is None:
        return ValueError("this game's rule takes no quantiles: it does not say of which levels")
    theirs, values = (step.get("levels"), step.get("values")) if isinstance(step, dict) else (None, None)
    if not isinstance(theirs, list | tuple) or not isinstance(values, list | tuple):
        return ValueError(f'quantiles are a dict with the lists "levels" and "values", not {brief(step)}')
    if (
        len(theirs) != len(levels)
        or not all(map(is_number, theirs))
        or any(abs(a - b) > _NEAR for a, b in zip(theirs, levels, strict=True))
    ):
        return ValueError(f"the levels must be {list(levels)}, got {brief(theirs)}")
    if len(values) != len(levels):
        return ValueError(f"there must be as many values as levels, {len(levels)}, got {len(values)}")
    for value in values:
        if not is_number(value) or abs(value) > LARGEST:
            return ValueError(f"a value must be a number within ±{LARGEST:g}, got {brief(value)}")
    for low, high in pairwise(values):
        if low > high:
            return ValueError(f"values must not decrease, but {low!r} stands before {high!r}")
    return None


def pinball_losses(values: Sequence[Any], outcomes: Sequence[float], levels: Sequence[float]) -> list[float]:
    """The mean pinball loss of each row of quantiles."""
    from crunch_game.scoring.rules.formulas import np

    off = np.array(values, dtype=np.float64).reshape(-1, len(levels)) - np.array(outcomes, dtype=np.float64)[:, None]
    tau = np.array(levels)
    return np.where(off >= 0, (1 - tau) * off, -tau * off).mean(axis=1).tolist()  # type: ignore[no-any-return]
