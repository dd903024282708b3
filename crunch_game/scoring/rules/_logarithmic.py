"""LogScore, the logarithmic score of densities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from crunch_game._public import public
from crunch_game.scoring.answers import Part
from crunch_game.scoring.base import Unit
from crunch_game.scoring.rules._base import Steps
from crunch_game.scoring.rules._densities import DensityRule, by_family

if TYPE_CHECKING:
    from crunch_game.scoring.rules.formulas import Normals


@public
class LogScore(DensityRule):
    """The logarithmic score, minus the log of the density at the outcome, lower is better.

    An answer is a density, or a list of densities, one for each step; the outcome is a number for each. Any mixture of
    any families. It is computed in logarithms, so that an outcome far in a tail has a large score, not an infinite
    one; where the density is 0, there is none.

    A density may be as narrow as `least_scale`: whoever answers a narrower one where outcomes are rounded, or happen to
    be 0, would gain without limit.
    """

    formula = "−log f(y)"
    source = "Good (1952), Journal of the Royal Statistical Society B 14, 107-114"
    takes = frozenset({"density"})
    unit: Unit = 1.0

    def __init__(
        self, least_scale: float = 1e-6, *, steps: Steps = None, over: Literal["mean", "sum"] = "mean"
    ) -> None:
        """Make the rule.

        Args:
            least_scale: The least standard deviation of a normal, in the outcome's unit: one tick of the data. A
                component whose greatest density is above that of such a normal is refused on arrival.
            steps: How many steps an answer has, or a function of the call's arguments that says so; another number of
                steps is refused on arrival. None: as many as the outcome has, which only shows at scoring.
            over: Whether an answer's score is the mean or the sum over its steps.

        Raises:
            ValueError: One of these is not what it may be.
        """
        super().__init__(steps=steps, over=over)
        if not 0 < least_scale < math.inf:
            raise ValueError(f"least_scale is greater than 0 and finite, not {least_scale!r}")
        self.least_scale = least_scale

    def _refused_density(self, parts: Sequence[Part]) -> ValueError | None:
        from crunch_game.scoring.rules.formulas import FORMULAS, np

        for part in parts:
            if part.family == "norm":
                if part.parameters[-1] < self.least_scale:
                    return self._too_narrow(part.parameters[-1])
                continue
            *shapes, _, scale = map(np.float64, part.parameters)
            with np.errstate(all="ignore"):
                peak = float(FORMULAS[part.family].log_peak(scale, *shapes))
            if peak == math.inf:
                return ValueError(f"the density of this {part.family} is infinite at a bound: its shapes are below 1")
            # One unit in the last place of the formulas is no reason.
            if peak > -math.log(self.least_scale) - 0.5 * math.log(2 * math.pi) + 1e-9:
                width = math.exp(-peak - 0.5 * math.log(2 * math.pi))
                return ValueError(
                    f"a {part.family} must be no narrower than a normal with scale {self.least_scale:g}, the least "
                    f"that this game admits; this one is as narrow as one with {width:.3g}"
                )
        return None

    def _refused_normals(self, group: Normals) -> dict[int, ValueError]:
        from crunch_game.scoring.rules.formulas import np

        narrow = (group.scales < self.least_scale) & (group.weights > 0)
        rows = np.flatnonzero(narrow.any(axis=1)).tolist()
        return {row: self._too_narrow(group.scales[row][narrow[row]][0].item()) for row in rows}

    def _too_narrow(self, scale: float) -> ValueError:
        return ValueError(f"scale must be at least {self.least_scale:g} in this game, got {scale!r}")

    def _score_normals(self, outcomes: Any, weights: Any, locs: Any, scales: Any) -> Any:
        from crunch_game.scoring.rules.formulas import FORMULAS, np

        terms = np.log(weights) + FORMULAS["norm"].log_density(outcomes[:, None] - locs, scales)
        # log-sum-exp: exp() of the terms themselves would be 0 far from all means.
        largest = terms.max(axis=1)
        return -largest - np.log(np.exp(terms - largest[:, None]).sum(axis=1))

    def _score_others(self, outcomes: Any, others: dict[int, list[Part]]) -> dict[int, float]:
        from crunch_game.scoring.rules.formulas import FORMULAS, np, special

        owners = [place for place, parts in others.items() for _ in parts]
        every = [part for parts in others.values() for part in parts]
        terms = np.array([math.log(part.weight) for part in every])
        for family, (places, parameters) in by_family(enumerate(every)).items():
            *shapes, locs, scales = parameters
            distances = outcomes[[owners[place] for place in places]] - locs
            terms[places] += FORMULAS[family].log_density(distances, scales, *shapes)
        scores: dict[int, float] = {}
        start = 0
        for place, parts in others.items():
            scores[place] = -float(special.logsumexp(terms[start : start + len(parts)]))
            start += len(parts)
        return scores
