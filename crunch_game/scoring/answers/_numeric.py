"""Answers as distributions that can be asked: mixtures of densities, quantiles, and what has finitely many values.

Needs numpy and scipy: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crunch_game.scoring.answers._densities import Density, Part, as_components
from crunch_game.scoring.answers._families import FAMILIES
from crunch_game.scoring.answers._quantiles import Quantiles
from crunch_game.scoring.answers._standard import STANDARD, Array, smallest

Size = int | tuple[int, ...]


class Distribution(Protocol):
    """What an answer says of one number. x and p are arrays of any shape, and so are the results."""

    def pdf(self, x: Array) -> Array: ...

    def cdf(self, x: Array) -> Array: ...

    def quantile(self, p: Array) -> Array: ...

    def sample(self, size: Size, rng: np.random.Generator) -> Array: ...


class Blend:
    """A mixture of densities; one alone is a mixture of one."""

    def __init__(self, density: Density) -> None:
        self.parts = as_components(density)

    def pdf(self, x: Array) -> Array:
        total = np.zeros_like(x)
        for part in self.parts:
            logpdf = STANDARD[part.family].logpdf(_standardized(part, x), *part.parameters[:-2])
            total += part.weight * np.exp(logpdf - np.log(part.parameters[-1]))
        return np.where(np.isnan(x), np.nan, total)

    def cdf(self, x: Array) -> Array:
        below = self._below(x)
        # The sum of shares may be one only nearly: 1 − sf tends to 1 exactly.
        return np.where(np.isnan(x), np.nan, np.where(below < 0.5, below, 1.0 - self._above(x)))

    def quantile(self, p: Array) -> Array:
        each = np.array([_quantile_of(part, p) for part in self.parts])
        if len(self.parts) == 1:
            alone: Array = each[0]
            return alone
        # A mixture's quantile lies between those of its components.
        least, most = each.min(axis=0), each.max(axis=0)
        found = smallest(lambda x: np.where(p < 0.5, self._below(x) >= p, self._above(x) <= 1 - p), least, most)
        return np.where((p >= 0) & (p < 1), found, most)  # most is NaN where p is no probability

    def sample(self, size: Size, rng: np.random.Generator) -> Array:
        chosen = rng.choice(len(self.parts), size=size, p=[part.weight for part in self.parts])
        draws = np.empty(chosen.shape)
        for number, part in enumerate(self.parts):
            *shapes, loc, scale = part.parameters
            mask = chosen == number
            draws[mask] = loc + scale * STANDARD[part.family].draw(rng, int(mask.sum()), *shapes)
        return draws

    def _below(self, x: Array) -> Array:
        return self._probability("cdf", x)

    def _above(self, x: Array) -> Array:
        return self._probability("sf", x)

    def _probability(self, side: str, x: Array) -> Array:
        total = np.zeros_like(x)
        for part in self.parts:
            probability = getattr(STANDARD[part.family], side)
            total += part.weight * probability(_standardized(part, x), *part.parameters[:-2])
        return np.minimum(total, 1.0)


class Interpolated:
    """Quantiles: linear between them; what is beyond the first and the last stands at these."""

    def __init__(self, answer: Quantiles) -> None:
        self.levels = np.asarray(answer["levels"], dtype=np.float64)
        self.values = np.asarray(answer["values"], dtype=np.float64)

    def pdf(self, x: Array) -> Array:
        raise ValueError("quantiles have no density: what is beyond the first and the last stands at these")

    def cdf(self, x: Array) -> Array:
        levels, values = self.levels, self.values
        after = np.searchsorted(values, x, side="right")
        low, high = np.clip(after - 1, 0, None), np.clip(after, None, len(values) - 1)
        width = np.where(high > low, values[high] - values[low], 1.0)
        between = levels[low] + (levels[high] - levels[low]) * ((x - values[low]) / width)
        inside = np.clip(between, levels[low], levels[high])
        return np.where(np.isnan(x), np.nan, np.where(after == 0, 0.0, np.where(after == len(values), 1.0, inside)))

    def quantile(self, p: Array) -> Array:
        return np.where((p >= 0) & (p <= 1), np.interp(p, self.levels, self.values), np.nan)

    def sample(self, size: Size, rng: np.random.Generator) -> Array:
        return self.quantile(rng.random(size))


class Discrete:
    """Finitely many values with their probabilities, such as draws or numbered categories."""

    def __init__(self, values: Any, probabilities: Any = None, *, without_density: str = "") -> None:
        """Take values that increase, if they have probabilities; draws, which have none, may come in any order."""
        self.values = np.sort(np.asarray(values, dtype=np.float64))
        self.probabilities = None if probabilities is None else _shares(probabilities)
        if self.probabilities is None:
            self._cumulated = np.arange(1, len(self.values) + 1) / len(self.values)
        else:
            self._cumulated = np.minimum(np.cumsum(self.probabilities), 1.0)
            # Values after the last one that is possible have probability 0, not what rounding left.
            self._cumulated[np.flatnonzero(self.probabilities)[-1] :] = 1.0
        self._without_density = without_density

    def pdf(self, x: Array) -> Array:
        if self._without_density or self.probabilities is None:
            raise ValueError(self._without_density)
        place = np.clip(np.searchsorted(self.values, x), 0, len(self.values) - 1)
        found = np.where(self.values[place] == x, self.probabilities[place], 0.0)
        return np.where(np.isnan(x), np.nan, found)

    def cdf(self, x: Array) -> Array:
        count = np.searchsorted(self.values, x, side="right")
        return np.where(np.isnan(x), np.nan, np.concatenate([[0.0], self._cumulated])[count])

    def quantile(self, p: Array) -> Array:
        # The first value that is possible, for p = 0.
        place = np.searchsorted(self._cumulated, np.maximum(p, 5e-324), side="left")
        found = self.values[np.clip(place, 0, len(self.values) - 1)]
        return np.where((p >= 0) & (p <= 1), found, np.nan)

    def sample(self, size: Size, rng: np.random.Generator) -> Array:
        return rng.choice(self.values, size=size, p=self.probabilities)


class StepByStep:
    """Paths: one distribution for each step. The last axis of x and of every result is the step."""

    def __init__(self, paths: Array, without_density: str) -> None:
        self.paths = paths
        self.steps = [Discrete(column, without_density=without_density) for column in paths.T]

    def pdf(self, x: Array) -> Array:
        return self.steps[0].pdf(x)

    def cdf(self, x: Array) -> Array:
        every = np.broadcast_to(x, np.broadcast_shapes(x.shape, (len(self.steps),)))
        return np.stack([step.cdf(every[..., number]) for number, step in enumerate(self.steps)], axis=-1)

    def quantile(self, p: Array) -> Array:
        return np.stack([step.quantile(p) for step in self.steps], axis=-1)

    def sample(self, size: Size, rng: np.random.Generator) -> Array:
        return self.paths[rng.integers(len(self.paths), size=size)]


class Named:
    """Categories by name, which have no order."""

    def __init__(self, categories: dict[str, float]) -> None:
        self.probabilities = dict(zip(categories, _shares(list(categories.values())), strict=True))

    def pdf(self, x: NDArray[Any]) -> Array:
        found = [self.probabilities.get(name, 0.0) for name in x.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(x.shape)

    def cdf(self, x: Array) -> Array:
        raise ValueError("categories by name have no order; a list of their probabilities has one")

    quantile = cdf

    def sample(self, size: Size, rng: np.random.Generator) -> NDArray[Any]:
        return rng.choice(np.array(list(self.probabilities)), size=size, p=list(self.probabilities.values()))


def _shares(probabilities: Sequence[float]) -> Array:
    shares = np.asarray(probabilities, dtype=np.float64)
    total: Array = shares / shares.sum()
    return total


def _standardized(part: Part, x: Array) -> Array:
    *_, loc, scale = part.parameters
    end = FAMILIES[part.family].support[1]
    # Where the support ends is not lost by rounding: much of a beta may be there.
    return np.where(x == loc + scale * end, end, (x - loc) / scale)


def _quantile_of(part: Part, p: Array) -> Array:
    *shapes, loc, scale = part.parameters
    standard = STANDARD[part.family]
    z = np.where(p < 0.5, standard.lower(np.minimum(p, 0.5), *shapes), standard.upper(np.minimum(1 - p, 0.5), *shapes))
    return np.where((p >= 0) & (p <= 1), loc + scale * z, np.nan)
