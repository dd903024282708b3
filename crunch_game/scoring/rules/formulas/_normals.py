"""Mixtures of normals as arrays: the CRPS in closed form, exact where the usual closed form cancels.

E. P. Grimit, T. Gneiting, V. J. Berrocal, N. A. Johnson (2006), "The continuous ranked probability score for circular
variables and its application to mesoscale forecast ensemble verification", Quarterly Journal of the Royal
Meteorological Society 132, 2925-2942, equation 5.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from numpy.typing import ArrayLike

from crunch_game._public import public
from crunch_game.scoring.rules.formulas._libraries import Array, np, special

_AT_A_TIME = 1 << 14
"""Numbers in one intermediate array: it stays in the processor's cache, and a large batch needs little memory."""
_CANCELLED = 1 / 64
"""Of E|X - y|: where less than this is left of it, the usual form has lost digits, and is not used."""
_SQUARES_FIT = 1e140
"""Scales from 1 / this to this can be squared."""
_FAR_WIDER = 1e4
"""How many times wider one normal must be than another is far from the outcome, to be flat as seen from there."""
_PEAK = 1 / math.sqrt(2 * math.pi)


@public
def crps_normal_mixture(outcomes: ArrayLike, weights: ArrayLike, locs: ArrayLike, scales: ArrayLike) -> Array:
    """Return the CRPS of mixtures of normals, in the outcome's unit.

    Never less than 0 nor more than E|X - outcome|, and right to about twelve digits, whatever the weights, means and
    scales are: components of which one is 1e60 times wider than the other too.

    Args:
        outcomes: Shape (n,).
        weights: Shape (n, components); each row sums to one, and none is negative.
        locs: Means, shape (n, components).
        scales: Standard deviations, shape (n, components), from 1e-300 to 1e300.

    Returns:
        Shape (n,). NaN where something is not finite or a scale is not positive.
    """
    y = np.asarray(outcomes, dtype=np.float64)
    # Component by component, so that what belongs together in an operation lies together.
    w, m, s = (np.ascontiguousarray(np.asarray(each, dtype=np.float64).T) for each in (weights, locs, scales))
    u = m - y
    found = np.empty(len(y))
    rows = max(1, _AT_A_TIME // max(1, len(u) * (len(u) - 1) // 2))
    with np.errstate(all="ignore"):
        for start in range(0, len(y), rows):
            part = slice(start, start + rows)
            found[part] = _crps(w[:, part], u[:, part], s[:, part])
        found[~((w >= 0) & (s > 0) & np.isfinite(u) & np.isfinite(s)).all(axis=0)] = np.nan
    return found


def _crps(w: Array, u: Array, s: Array) -> Array:
    """The scores (n,) of the outcome 0 under means u, all (components, n)."""
    if u.shape[1] == 1:  # one column is summed in another order than that of several: a score depends on no other
        return _crps(*(np.repeat(each, 2, axis=1) for each in (w, u, s)))[:1]
    if len(u) == 1:
        return _absolute(u[0], s[0]) - s[0] / math.sqrt(math.pi)  # type: ignore[no-any-return]
    distance: Array = (w * _absolute(u, s)).sum(axis=0)
    first, second = _pairs(len(u))
    spread = _absolute(u[first] - u[second], np.sqrt(np.square(s)[first] + np.square(s)[second]))
    spread *= w[first]
    spread *= w[second]
    scores: Array = distance - spread.sum(axis=0) - (w * w * s).sum(axis=0) / math.sqrt(math.pi)
    unsure = ~(scores > _CANCELLED * distance)  # NaN too
    unsure |= (s.min(axis=0) < 1 / _SQUARES_FIT) | (s.max(axis=0) > _SQUARES_FIT)
    for column in np.flatnonzero(unsure).tolist():
        scores[column] = _crps_without_cancellation(w[:, column], u[:, column], s[:, column])
    return scores


def _absolute(u: Array, s: Array) -> Array:
    """E|X| of normals."""
    z = u / s
    return u * special.erf(z * math.sqrt(0.5)) + 2 * _PEAK * s * np.exp(-0.5 * z * z)  # type: ignore[no-any-return]


def _crps_without_cancellation(w: Array, u: Array, s: Array) -> float:
    """The score of one mixture (components,), as a sum of terms none of which is negative.

    The score is the double sum of w_i w_j G_ij with

        G_ij = (E|X_i| + E|X_j| - E|X_i - X_j|) / 2 = E[min(|X_i|, |X_j|); X_i and X_j have the same sign] >= 0.

    Each G_ij is made exact to the rounding of the smaller of E|X_i| and E|X_j|. That suffices: by Cauchy and Schwarz
    the sum is at least that of the w_i² G_ii, and these are at least 0.29 w_i² E|X_i|.
    """
    distances = np.abs(u) + _beyond(u, s)
    wide, near = np.argsort(distances)[_square(len(u))]
    # The sum of the two parts of E|X| that is exact however far away both are, and what is left of each.
    apart = np.abs(u[wide] - u[near])
    together = np.where(np.sign(u[wide]) == np.sign(u[near]), np.minimum(np.abs(u[wide]), np.abs(u[near])), 0.0)
    rest = _beyond(u[wide], s[wide]) + _beyond(u[near], s[near]) - _beyond(apart, np.hypot(s[wide], s[near]))
    terms = together + rest / 2
    flat = s[wide] > _FAR_WIDER * distances[near]
    terms[flat] = _seen_from_near(u[wide][flat], s[wide][flat], u[near][flat], s[near][flat])
    least = np.minimum(distances[wide], distances[near])
    terms = np.minimum(np.maximum(terms, 0.0), least)
    return math.fsum((w[wide] * (w[near] * terms)).tolist())


def _beyond(u: Array, s: Array) -> Array:
    """E|X| - |u| of normals, which is not negative: the part of E|X| that is due to the scale."""
    z = np.minimum(np.abs(u) / s, 40.0)  # beyond, it is 0
    return np.maximum(2 * s * (_PEAK * np.exp(-0.5 * z * z) - z * special.ndtr(-z)), 0.0)  # type: ignore[no-any-return]


def _seen_from_near(u: Array, s: Array, v: Array, r: Array) -> Array:
    """G of a wide normal (u, s) and one (v, r) that is so near to 0 that the first one's density hardly changes there.

    With t small, P(X > t) = P(X > 0) - t f(0) - t² f'(0) / 2 - ..., and G is the mean of the integral of that from 0
    to the near one's value.
    """
    z = np.clip(u / s, -40.0, 40.0)
    above = np.maximum(v, 0.0) + _beyond(v, r) / 2
    below = np.maximum(-v, 0.0) + _beyond(v, r) / 2
    # Moments in units of s.
    a, b = v / s, r / s
    bent = a**2 + b**2 + z * (a**3 + 3 * a * b**2) / 3  # the next term is less than 1e-12 of the whole
    found: Array = special.ndtr(z) * above + special.ndtr(-z) * below - s * _PEAK * np.exp(-0.5 * z * z) * bent / 2
    return found


@cache
def _pairs(components: int) -> tuple[Any, Any]:
    """The indices of all pairs."""
    return np.triu_indices(components, 1)


@cache
def _square(components: int) -> Any:
    """Places in an order, of which the first comes no sooner than the second, and twice where it comes later."""
    first, second = np.indices((components, components)).reshape(2, -1)
    return np.stack([np.maximum(first, second), np.minimum(first, second)])


def _special() -> Any:
    import scipy.special

    return scipy.special
