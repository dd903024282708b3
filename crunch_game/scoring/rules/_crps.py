"""CRPS, the continuous ranked probability score: of densities, quantiles, samples and points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, inf, log
from reprlib import repr as brief
from typing import Any, Literal

from crunch_game._public import public
from crunch_game.scoring.answers import LARGEST, Part
from crunch_game.scoring.rules._base import Found, Steps, is_number
from crunch_game.scoring.rules._densities import DensityRule, by_family
from crunch_game.scoring.rules._draws import Estimator, checked_estimator, refused_samples
from crunch_game.scoring.rules._points import refused_point
from crunch_game.scoring.rules._quantiles import LevelsOf, pinball_losses, refused_quantiles

_LEAST_DF = 1.01
"""Of Student's t: the mean is infinite at 1, and near it the closed form loses its digits."""

_NO_DENSITIES = frozenset({list, tuple, int, float})


@public
class CRPS(DensityRule):
    """The continuous ranked probability score, the integral over x of (F(x) - 1{x >= outcome})², lower is better.

    An answer is a density, samples, quantiles or a point, or a list of them, one for each step; the outcome is a number
    for each. The score is in the outcome's unit. What the formula is depends on the answer:

    - A mixture of normals, or one density of another family: in closed form, E|X - y| - E|X - X'| / 2. Never below 0
      nor above E|X - y|. Mixtures with other families are refused.
    - Samples: the same of the draws, by `estimator`.
    - Quantiles: twice the mean pinball loss over `levels`, which nears the CRPS as equally spaced levels become many.
    - A point: the absolute error.
    """

    formula = "∫ (F(x) − 1{x ≥ y})² dx = E|X − y| − E|X − X′| / 2"
    source = "Gneiting and Raftery (2007), Journal of the American Statistical Association 102, 359-378"
    takes = frozenset({"density", "quantiles", "samples", "point"})

    def __init__(
        self,
        *,
        steps: Steps = None,
        over: Literal["mean", "sum"] = "mean",
        estimator: Estimator = "nrg",
        levels: Sequence[float] | None = None,
    ) -> None:
        """Make the rule.

        Args:
            steps: How many steps an answer has, or a function of the call's arguments that says so; another number of
                steps is refused on arrival. None: as many as the outcome has, which only shows at scoring.
            over: Whether an answer's score is the mean or the sum over its steps.
            estimator: Of samples. "nrg" is the CRPS of the distribution that the draws are, whoever chose them, and
                proper. "fair" is unbiased where draws are random, and for draws that the game itself makes only: a
                model that chooses its draws gets a perfect score by two of them, far off on either side.
            levels: Those that quantiles must have. None: quantiles are refused, since who may choose levels chooses
                those at which nothing can be lost.

        Raises:
            ValueError: One of these is not what it may be.
        """
        super().__init__(steps=steps, over=over)
        self.estimator = checked_estimator(estimator)
        self.strictly_proper = estimator == "nrg"
        self.levels = None if levels is None else LevelsOf(levels)

    def _split(self, value: Any) -> Sequence[Any]:
        # A list of numbers is samples: one step.
        if is_number(value) or (isinstance(value, list | tuple) and value and isinstance(value[0], int | float)):
            return [value]
        return super()._split(value)

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        for step in steps:
            kind = _kind(step)
            if kind == "samples":
                yield refused_samples(step, self.estimator)
            elif kind == "quantiles":
                yield refused_quantiles(step, self.levels)
            elif kind == "point":
                yield refused_point(step)
            else:
                yield from super()._refused([step])

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        if all(type(step) is not dict or "levels" not in step for step in steps) and not _NO_DENSITIES & set(
            map(type, steps)
        ):
            return super()._score_steps(steps, outcomes)
        kinds: dict[str, list[int]] = {}
        for place, step in enumerate(steps):
            kinds.setdefault(_kind(step), []).append(place)
        found: list[Any] = [None] * len(steps)
        for kind, places in kinds.items():
            these, truths = [steps[place] for place in places], [outcomes[place] for place in places]
            scores = super()._score_steps(these, truths) if kind == "density" else self._scored(kind, these, truths)
            for place, score in zip(places, scores, strict=True):
                found[place] = score
        return found

    def _scored(self, kind: str, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        """Score answers of one kind, which are no densities."""
        from crunch_game.scoring.rules.formulas import crps_of_samples

        found: list[Any] = list(self._refused(steps))
        right = [place for place, error in enumerate(found) if error is None]
        these, truths = [steps[place] for place in right], [outcomes[place] for place in right]
        if kind == "samples":
            scores = crps_of_samples(these, truths, self.estimator == "fair")
        elif kind == "quantiles" and self.levels:
            losses = pinball_losses([each["values"] for each in these], truths, self.levels)
            scores = [2 * loss for loss in losses]
        else:
            scores = [abs(float(point - truth)) for point, truth in zip(these, truths, strict=True)]
        for place, score in zip(right, scores, strict=True):
            found[place] = score
        return found

    def _refused_density(self, parts: Sequence[Part]) -> ValueError | None:
        families = {part.family for part in parts}
        if len(parts) > 1 and families != {"norm"}:
            return ValueError(
                f"the CRPS has no closed form for a mixture with {', '.join(sorted(families - {'norm'}))}; "
                "answer a mixture of normals, or one density"
            )
        [family, parameters] = parts[0].family, parts[0].parameters
        if family == "t" and parameters[0] < _LEAST_DF:
            return ValueError(f"the CRPS needs a t with df of at least {_LEAST_DF}, got {parameters[0]!r}")
        if family == "lognorm" and _mean_of_lognormal(*parameters) > LARGEST:
            return ValueError(f"the mean of a lognormal is at most {LARGEST:g}, that of {brief(parameters)} is not")
        return None

    def _score_normals(self, outcomes: Any, weights: Any, locs: Any, scales: Any) -> Any:
        from crunch_game.scoring.rules.formulas import crps_normal_mixture

        return crps_normal_mixture(outcomes, weights, locs, scales)

    def _score_others(self, outcomes: Any, others: dict[int, list[Part]]) -> dict[int, float]:
        from crunch_game.scoring.rules.formulas import FORMULAS, np

        scores: dict[int, float] = {}
        for family, (places, parameters) in by_family((place, part) for place, [part] in others.items()).items():
            *shapes, locs, scales = parameters
            distances = outcomes[places] - locs
            # Rounding of numbers far from 0 only: no closed form is negative.
            found = np.maximum(FORMULAS[family].crps(distances, scales, *shapes), 0.0)
            scores.update(zip(places, found.tolist(), strict=True))
        return scores


def _kind(step: Any) -> str:
    """Which kind of answer this is, or else was meant to be."""
    if isinstance(step, dict):
        return "quantiles" if "levels" in step else "density"
    if isinstance(step, list | tuple):
        return "samples"
    return "point" if is_number(step) else "density"


def _mean_of_lognormal(s: float, loc: float, scale: float) -> float:
    power = s**2 / 2 + log(scale)
    return exp(power) if power < log(LARGEST) + 1 else inf
