"""Draws of one number, and of paths: estimators of E|X - y| - E|X - X'| / 2, as sums of terms that are not negative."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.spatial.distance import cdist

from crunch_game.scoring.rules.formulas._libraries import Array, np

__all__ = ["crps_of_samples", "energy_of_paths"]

_BLOCK = 256
"""Paths whose distances to all others are in memory at once."""


def crps_of_samples(samples: Sequence[Sequence[float]], outcomes: Sequence[float], fair: bool) -> list[float]:
    """The CRPS of each list of draws, in the outcome's unit; see `CRPS` for the estimators.

    With draws x_1 <= ... <= x_m, the part of the k-th gap that lies below the outcome counts (k/m)² of its length, and
    the part above it (1 - k/m)²; fair, k(k - 1) and (m - k)(m - k - 1) over m(m - 1). Nothing cancels.
    """
    groups: dict[int, list[int]] = {}
    for place, draws in enumerate(samples):
        groups.setdefault(len(draws), []).append(place)
    scores = np.empty(len(samples))
    for count, places in groups.items():
        x = np.sort(np.array([samples[place] for place in places], dtype=np.float64), axis=1)
        y = np.array([outcomes[place] for place in places], dtype=np.float64)[:, None]
        below = np.clip(y, x[:, :-1], x[:, 1:]) - x[:, :-1]
        above = x[:, 1:] - np.clip(y, x[:, :-1], x[:, 1:])
        k = np.arange(1, count, dtype=np.float64)
        if fair:
            inner = below * (k * (k - 1)) + above * ((count - k) * (count - k - 1))
            inner /= count * (count - 1)
        else:
            inner = below * (k / count) ** 2 + above * (1 - k / count) ** 2
        outer = np.maximum(x[:, 0] - y[:, 0], 0.0) + np.maximum(y[:, 0] - x[:, -1], 0.0)
        scores[places] = inner.sum(axis=1) + outer
    return scores.tolist()


def energy_of_paths(paths: Sequence[Sequence[float]], outcome: Sequence[float], fair: bool) -> float:
    """The energy score of draws (draws, steps) of a path, in the outcome's unit: in the Euclidean norm."""
    off: Array = np.array(paths, dtype=np.float64) - np.array(outcome, dtype=np.float64)
    unit = float(np.abs(off).max())  # so that squares are neither too large nor too small
    if unit in (0.0, np.inf):
        return unit
    off /= unit
    lengths = np.sqrt(np.square(off).sum(axis=1))
    count = len(off)
    total = 0.0
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        # Half of |x - y| + |x' - y| - |x - x'|, which the triangle says is not negative.
        terms = (lengths[block, None] + lengths - cdist(off[block], off)) / 2
        total += float(np.maximum(terms, 0.0).sum())
    if fair:
        return unit * (total - float(lengths.sum())) / (count * (count - 1))
    return unit * total / count**2
