"""Likelihood: the density at the truth itself, as games have it that share a pot by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from crunch_game._public import public
from crunch_game.scoring.base import Unit
from crunch_game.scoring.rules._base import Found
from crunch_game.scoring.rules._logarithmic import LogScore


@public
class Likelihood(LogScore):
    """The density at the outcome, per unit of the outcome; higher is better. birdgame's pot is shared by it.

    An answer is a density, or a list of densities, one for each step, whose mean (or sum) it is; the outcome is a
    number for each. Where the density is 0, so is the score.

    It is not proper: on average, the best report is the narrowest density that is admitted, at the most likely outcome,
    and one lucky round outweighs a thousand honest ones. Its logarithm is strictly proper: where a game is not bound to
    the likelihood, take `LogScore`. `least_scale` and the other arguments are those of `LogScore`.
    """

    formula = "f(y)"
    source = "birdgame 0.3.1, `wealth`; Good (1952), Journal of the Royal Statistical Society B 14, 107-114"
    higher_is_better: bool = True
    unit: Unit = "usual"
    strictly_proper: bool = False

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        logarithms = super()._score_steps(steps, outcomes)
        return [each if isinstance(each, ValueError) else math.exp(-each) for each in logarithms]
