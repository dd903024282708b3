"""CRPS and LogScore: proper scoring rules for densities, in closed form for mixtures of normals.

Both follow T. Gneiting, A. E. Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", Journal of
the American Statistical Association 102, 359-378, in negative orientation: lower is better.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from crunch_game._public import public
from crunch_game.errors import MissingExtra
from crunch_game.scoring.answers import as_normal_mixture
from crunch_game.storage.base import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

_MAX_ARRAY_SIZE = 1_000_000
"""Numbers in one intermediate array, which limits the memory of a large batch."""


class _DensityRule:
    """What the rules for densities share; each adds its formula."""

    higher_is_better: bool = False

    @staticmethod
    def _formula(outcomes: Array, weights: Array, locs: Array, scales: Array) -> Array:
        """Scores (n,) of outcomes (n,) under mixtures with weights, means and standard deviations (n, components)."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Load the libraries that the rule needs.

        Raises:
            MissingExtra: `scoringrules` is not installed.
        """
        _scoringrules()

    def score(self, prediction: Prediction, outcome: Any) -> float:
        """Return the score of one prediction.

        Raises:
            ValueError: This rule cannot score the answer or the outcome.
            MissingExtra: `scoringrules` is not installed.
        """
        [result] = self.score_many([prediction], [outcome])
        if isinstance(result, ValueError):
            raise result
        return result

    def score_many(self, predictions: Sequence[Prediction], outcomes: Sequence[Any]) -> list[float | ValueError]:
        """Return the scores of many predictions, or errors: much faster than one at a time."""
        _scoringrules()  # it brings numpy; report that it is missing even if there is nothing to score
        errors: dict[int, ValueError] = {}
        groups: dict[int, list[_Item]] = {}
        for owner, (prediction, outcome) in enumerate(zip(predictions, outcomes, strict=True)):
            try:
                steps = list(_steps(owner, prediction.value, outcome))
            except ValueError as error:
                errors[owner] = error
                continue
            for step in steps:
                # Steps with equally many components form one rectangular array.
                groups.setdefault(len(step.weights), []).append(step)
        scores = _scored(self._formula, groups)
        return [errors[owner] if owner in errors else _mean(scores[owner]) for owner in range(len(predictions))]


@public
class CRPS(_DensityRule):
    """The continuous ranked probability score, the integral over x of (F(x) - 1{x >= outcome})², lower is better.

    An answer is a density or a list of densities, one per step; the outcome is as many numbers. The score is the mean
    over the steps, in the outcome's unit. Closed form for a mixture of normals: E. P. Grimit
    et al. (2006), Quarterly Journal of the Royal Meteorological Society 132, 2925-2942, through `scoringrules`.
    """

    @staticmethod
    def _formula(outcomes: Array, weights: Array, locs: Array, scales: Array) -> Array:
        rules: Any = _scoringrules()
        if weights.shape[1] == 1:
            scores = rules.crps_normal(outcomes, locs[:, 0], scales[:, 0], backend="numpy")
        else:
            scores = rules.crps_mixnorm(outcomes, locs, scales, weights, backend="numpy")
        return scores  # type: ignore[no-any-return]


@public
class LogScore(_DensityRule):
    """The logarithmic score, minus the log of the density at the outcome, lower is better.

    An answer is a density or a list of densities, one per step; the outcome is as many numbers. The score is the mean
    over the steps. It is computed in logarithms, so that an outcome far in a tail has a large score, not an infinite
    one.
    """

    @staticmethod
    def _formula(outcomes: Array, weights: Array, locs: Array, scales: Array) -> Array:
        import numpy as np

        z = (outcomes[:, None] - locs) / scales
        terms = np.log(weights) - np.log(scales) - 0.5 * z**2 - 0.5 * math.log(2 * math.pi)
        # log-sum-exp: exp() of the terms themselves would be 0 far from all means.
        largest = terms.max(axis=1)
        scores: Array = -largest - np.log(np.exp(terms - largest[:, None]).sum(axis=1))
        return scores


def _scoringrules() -> Any:
    try:
        import scoringrules
    except ImportError:
        raise MissingExtra("scoringrules", "scoring") from None
    return scoringrules


class _Item(NamedTuple):
    """One step to score; `owner` is the index of its prediction."""

    owner: int
    outcome: float
    weights: list[float]
    locs: list[float]
    scales: list[float]


def _steps(owner: int, value: Any, outcome: Any) -> Iterator[_Item]:
    """Yield the steps of one prediction, or raise ValueError."""
    if value is None:
        raise ValueError("there is no answer")
    densities = [value] if isinstance(value, dict) else value
    if not isinstance(densities, list | tuple) or not densities:
        raise ValueError(f"the answer must be a density or a list of densities, not {brief(value)}")
    numbers = _numbers(outcome)
    if len(densities) != len(numbers):
        raise ValueError(f"the answer has {len(densities)} densities where the outcome has {len(numbers)} numbers")
    for density, number in zip(densities, numbers, strict=True):
        yield _Item(owner, number, *as_normal_mixture(density))


def _numbers(outcome: Any) -> list[float]:
    plain = outcome.tolist() if hasattr(outcome, "tolist") else outcome
    numbers = list(plain) if isinstance(plain, list | tuple) else [plain]
    for number in numbers:
        if not isinstance(number, int | float) or isinstance(number, bool) or not abs(number) <= sys.float_info.max:
            raise ValueError(f"the outcome must be a finite number, or a list of them, not {brief(outcome)}")
    return numbers


def _scored(formula: Callable[..., Array], groups: Mapping[int, Sequence[_Item]]) -> dict[int, list[float]]:
    """Return the scores of each owner's steps. Steps with the same number of components are scored together."""
    import numpy as np

    scores: dict[int, list[float]] = {}
    with np.errstate(all="ignore"):  # a score that is not finite becomes an error below
        for components, steps in groups.items():
            size = max(1, _MAX_ARRAY_SIZE // components**2)
            for batch in (steps[start : start + size] for start in range(0, len(steps), size)):
                owners, *columns = zip(*batch, strict=True)
                found = formula(*(np.array(column, dtype=np.float64) for column in columns))
                for owner, score in zip(owners, found.tolist(), strict=True):
                    scores.setdefault(owner, []).append(score)
    return scores


def _mean(scores: Sequence[float]) -> float | ValueError:
    if not all(map(math.isfinite, scores)):
        return ValueError("the score is not finite: the outcome is too far from the density, or the density too narrow")
    return math.fsum(score / len(scores) for score in scores)
