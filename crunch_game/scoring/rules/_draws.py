"""Energy, the energy score of paths; and what it and the CRPS ask of draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from reprlib import repr as brief
from typing import Any, Literal, TypeAlias

from crunch_game._public import public
from crunch_game.scoring.answers import LARGEST
from crunch_game.scoring.rules._base import Found, StepwiseRule, is_number, numbers_of

Estimator: TypeAlias = Literal["nrg", "fair"]
"""How E|X - X'| is found: "nrg" of the distribution that the draws are; "fair", without bias where draws are random."""


@public
class Energy(StepwiseRule):
    """The energy score, E‖X - y‖ - E‖X - X'‖ / 2 in the Euclidean norm, lower is better; of one step, it is the CRPS.

    An answer is paths, a list of draws, each a list of one number for each step; the outcome is the path that came
    true. The score is in the outcome's unit. It looks at all steps together: what their draws have in common counts.
    """

    formula = "E‖X − y‖ − E‖X − X′‖ / 2"
    source = "Gneiting and Raftery (2007), Journal of the American Statistical Association 102, 359-378"
    takes = frozenset({"paths"})

    def __init__(self, *, estimator: Estimator = "nrg", most_draws: int = 1_000) -> None:
        """Make the rule.

        Args:
            estimator: "nrg" or "fair"; see `CRPS`.
            most_draws: Draws in one answer; the time that scoring takes grows with their square.

        Raises:
            ValueError: There is no such estimator.
        """
        super().__init__()
        self.estimator = checked_estimator(estimator)
        self.strictly_proper = estimator == "nrg"
        self.most_draws = most_draws

    def _split(self, value: Any) -> Sequence[Any]:
        return [value]

    def _truths(self, outcome: Any) -> Sequence[Any]:
        return [numbers_of(outcome)]

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        return [self._refused_paths(paths) for paths in steps]

    def _refused_paths(self, paths: Any) -> ValueError | None:
        if not isinstance(paths, list | tuple) or not all(isinstance(path, list | tuple) and path for path in paths):
            return ValueError(f"the answer must be a list of paths, each a list of numbers, not {brief(paths)}")
        least = 2 if self.estimator == "fair" else 1
        if not least <= len(paths) <= self.most_draws:
            return ValueError(f"there must be {least} to {self.most_draws:,} paths, got {len(paths):,}")
        lengths = set(map(len, paths))
        if len(lengths) > 1:
            return ValueError(f"all paths must have equally many steps, got {min(lengths)} and {max(lengths)}")
        return next((error for path in paths if (error := _refused_numbers(path, "a step of a path"))), None)

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        from crunch_game.scoring.rules.formulas import energy_of_paths

        found: Found = []
        for paths, outcome in zip(steps, outcomes, strict=True):
            error = self._refused_paths(paths)
            if error is None and len(paths[0]) != len(outcome):
                error = ValueError(f"the paths have {len(paths[0])} steps where the outcome has {len(outcome)} numbers")
            found.append(error or energy_of_paths(paths, outcome, self.estimator == "fair"))
        return found


def checked_estimator(estimator: Estimator) -> Estimator:
    """The estimator, if there is such a one."""
    if estimator not in ("nrg", "fair"):
        raise ValueError(f'the estimator is "nrg" or "fair", not {estimator!r}')
    return estimator


def refused_samples(samples: Sequence[Any], estimator: Estimator) -> ValueError | None:
    """Why draws of one number cannot be scored."""
    least = 2 if estimator == "fair" else 1
    if len(samples) < least:
        return ValueError(f"there must be at least {least} draws, got {len(samples)}")
    return _refused_numbers(samples, "a draw")


def _refused_numbers(numbers: Sequence[Any], what: str) -> ValueError | None:
    for number in numbers:
        if not is_number(number) or abs(number) > LARGEST:
            return ValueError(f"{what} must be a number within ±{LARGEST:g}, got {brief(number)}")
    return None
