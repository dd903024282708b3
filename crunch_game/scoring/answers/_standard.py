"""The standard forms of the families, as functions of arrays. Needs numpy and scipy: import it where it is used.

Each tail is computed by itself, so that a probability of 1e-300 has all its digits. z and p are arrays, shape
parameters are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array: TypeAlias = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_SIGN = np.iinfo(np.int64).min
_FAR = 1e7
"""Standard deviations from which on a t has no more than its leading power."""


class Standard(NamedTuple):
    """The functions of a family's standard form; each takes the shape parameters last.

    Attributes:
        logpdf: The logarithm of the density at z.
        cdf: The probability of at most z.
        sf: The probability of more than z.
        lower: The z below which the probability is p.
        upper: The z above which the probability is p.
        draw: Takes a numpy.random.Generator and a size.
    """

    logpdf: Callable[..., Array]
    cdf: Callable[..., Array]
    sf: Callable[..., Array]
    lower: Callable[..., Array]
    upper: Callable[..., Array]
    draw: Callable[..., Any]


def smallest(reached: Callable[[Array], NDArray[np.bool_]], least: Array, most: Array) -> Array:
    """Return the smallest doubles from `least` to `most` where `reached` is true; `most`, if it is true nowhere before.

    Between two doubles there are finitely many, so they are found by halving in 64 steps, whatever their scale.

    Args:
        reached: Takes an array, and is false up to some number, and true from there on.
        least: Where to begin.
        most: Where to end; of the same shape.
    """
    low, high = _ordinal(least) - 1, _ordinal(most)  # taken to be false at low, and true at high
    while True:
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        between = middle > low  # else this one has been found, though others have not
        if not between.any():
            return _double(high)
        is_there = reached(_double(middle)) & between
        low, high = np.where(is_there, low, middle), np.where(is_there, middle, high)


def _ordinal(x: Array) -> NDArray[np.int64]:
    """The place of a double among all of them, so that the next one has the next integer."""
    bits = np.asarray(x).view(np.int64)
    return np.where(bits < 0, _SIGN - bits, bits)


def _double(ordinal: NDArray[np.int64]) -> Array:
    return np.where(ordinal < 0, _SIGN - ordinal, ordinal).view(np.float64)


def _inside(z: Array, least: float, most: float, logpdf: Array) -> Array:
    return np.where((z >= least) & (z <= most), logpdf, -np.inf)


def _laplace_cdf(z: Array) -> Array:
    tail = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, tail, 1.0 - tail)


def _laplace_lower(p: Array) -> Array:
    return np.where(p < 0.5, np.log(2 * p), -np.log(2 * (1 - p)))


def _lognorm_logpdf(z: Array, s: float) -> Array:
    logarithm = np.log(z)
    return _inside(z, 5e-324, np.inf, -0.5 * (logarithm / s) ** 2 - logarithm - math.log(s) - 0.5 * _LOG_2PI)


def _stirling(a: float) -> float:
    """log Γ(a + 1) less Stirling's formula a·log a − a + log(2πa)/2, which is small; NIST DLMF 5.11.1."""
    if a < 16:
        return math.lgamma(a + 1) - a * math.log(a) + a - 0.5 * (_LOG_2PI + math.log(a))
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * a**2)) / a**2) / a**2) / a


def _log_deviance(r: Array) -> Array:
    """log r − (r − 1), which is of second order near 1."""
    deviance: Array = np.log(r) - (r - 1)
    return deviance


def _gamma_logpdf(z: Array, a: float) -> Array:
    """By the deviance from the mode, as large a's terms cancel: C. Loader (2000), "Fast and Accurate Computation of
    Binomial Probabilities"."""
    logpdf = a * _log_deviance(z / a) - np.log(z) - _stirling(a) - 0.5 * (_LOG_2PI - math.log(a))
    at_zero = math.inf if a < 1 else 0.0 if a == 1 else -math.inf
    return _inside(z, 0.0, np.inf, np.where(z == 0, at_zero, np.where(np.isinf(z), -np.inf, logpdf)))


def _beta_logpdf(z: Array, a: float, b: float) -> Array:
    """By the deviance from the mean, as for the gamma."""
    n = a + b
    deviance = a * _log_deviance(z * (n / a)) + b * _log_deviance((1 - z) * (n / b))
    factor = 0.5 * (math.log(a) + math.log(b) - math.log(n) - _LOG_2PI) + _stirling(n) - _stirling(a) - _stirling(b)
    logpdf = deviance + factor - np.log(z) - np.log1p(-z)
    for edge, shape, other in ((0.0, a, b), (1.0, b, a)):
        at_edge = math.inf if shape < 1 else math.log(other) if shape == 1 else -math.inf
        logpdf = np.where(z == edge, at_edge, logpdf)
    return _inside(z, 0.0, 1.0, logpdf)


def _beta_lower(p: Array, a: float, b: float) -> Array:
    # scipy's inverse gives up, with a warning or NaN, for some small p.
    return smallest(lambda z: special.betainc(a, b, z) >= p, np.zeros_like(p), np.ones_like(p))


def _beta_upper(p: Array, a: float, b: float) -> Array:
    found = smallest(lambda z: special.betaincc(a, b, z) <= p, np.zeros_like(p), np.ones_like(p))
    return np.where(p == 0, 1.0, found)  # where the tail has become 0 it has not ended


def _log_half_step(a: float) -> float:
    """log(Γ(a + 1/2) / Γ(a) / √a)."""
    if a < 16:
        return math.lgamma(a + 0.5) - math.lgamma(a) - 0.5 * math.log(a)
    # Γ(a) = Γ(a + 1)/a
    half = a + 0.5
    return a * math.log1p(0.5 / a) - 0.5 + _stirling(half) - _stirling(a)


def _t_logpdf(z: Array, df: float) -> Array:
    r = np.abs(z) / math.sqrt(df)
    kernel = np.where(r < 1, 0.5 * np.log1p(r * r), np.log(np.hypot(1.0, r)))
    return -(df + 1) * kernel + _log_half_step(df / 2) - 0.5 * _LOG_2PI


def _t_power(df: float) -> float:
    """log c of the tail of a t far out, c·(z/√df)^−df."""
    return _log_half_step(df / 2) + 0.5 * math.log(df / 2) - 0.5 * math.log(math.pi) - math.log(df)


def _t_tail(z: Array, df: float) -> Array:
    """The probability beyond |z|, on one side."""
    r = np.abs(z) / math.sqrt(df)
    return np.where(r > _FAR, np.exp(_t_power(df) - df * np.log(r)), special.stdtr(df, -np.abs(z)))


def _t_cdf(z: Array, df: float) -> Array:
    tail = _t_tail(z, df)
    return np.where(z < 0, tail, 1.0 - tail)


def _t_lower(p: Array, df: float) -> Array:
    tail = np.minimum(p, 1 - p)
    r = np.exp((_t_power(df) - np.log(tail)) / df)
    z = np.where(r > _FAR, -math.sqrt(df) * r, special.stdtrit(df, tail))
    return np.where(p < 0.5, z, -z)


STANDARD: dict[str, Standard] = {
    "norm": Standard(
        lambda z: -0.5 * z**2 - 0.5 * _LOG_2PI,
        special.ndtr,
        lambda z: special.ndtr(-z),
        special.ndtri,
        lambda p: -special.ndtri(p),
        lambda rng, size: rng.standard_normal(size),
    ),
    "t": Standard(
        _t_logpdf,
        _t_cdf,
        lambda z, df: _t_cdf(-z, df),
        _t_lower,
        lambda p, df: -_t_lower(p, df),
        lambda rng, size, df: rng.standard_t(df, size),
    ),
    "logistic": Standard(
        lambda z: -np.abs(z) - 2 * np.log1p(np.exp(-np.abs(z))),
        special.expit,
        lambda z: special.expit(-z),
        special.logit,
        lambda p: -special.logit(p),
        lambda rng, size: rng.logistic(size=size),
    ),
    "laplace": Standard(
        lambda z: -np.abs(z) - math.log(2),
        _laplace_cdf,
        lambda z: _laplace_cdf(-z),
        _laplace_lower,
        lambda p: -_laplace_lower(p),
        lambda rng, size: rng.laplace(size=size),
    ),
    "uniform": Standard(
        lambda z: _inside(z, 0.0, 1.0, np.zeros_like(z)),
        lambda z: np.clip(z, 0.0, 1.0),
        lambda z: np.clip(1.0 - z, 0.0, 1.0),
        lambda p: p,
        lambda p: 1.0 - p,
        lambda rng, size: rng.random(size),
    ),
    "expon": Standard(
        lambda z: _inside(z, 0.0, np.inf, -z),
        lambda z: -np.expm1(-np.maximum(z, 0.0)),
        lambda z: np.exp(-np.maximum(z, 0.0)),
        lambda p: -np.log1p(-p),
        lambda p: -np.log(p),
        lambda rng, size: rng.standard_exponential(size),
    ),
    "lognorm": Standard(
        _lognorm_logpdf,
        lambda z, s: special.ndtr(np.log(np.maximum(z, 0.0)) / s),
        lambda z, s: special.ndtr(-np.log(np.maximum(z, 0.0)) / s),
        lambda p, s: np.exp(s * special.ndtri(p)),
        lambda p, s: np.exp(-s * special.ndtri(p)),
        lambda rng, size, s: np.exp(s * rng.standard_normal(size)),
    ),
    "gamma": Standard(
        _gamma_logpdf,
        lambda z, a: special.gammainc(a, np.maximum(z, 0.0)),
        lambda z, a: special.gammaincc(a, np.maximum(z, 0.0)),
        lambda p, a: special.gammaincinv(a, p),
        lambda p, a: special.gammainccinv(a, p),
        lambda rng, size, a: rng.standard_gamma(a, size),
    ),
    "beta": Standard(
        _beta_logpdf,
        lambda z, a, b: special.betainc(a, b, np.clip(z, 0.0, 1.0)),
        lambda z, a, b: special.betaincc(a, b, np.clip(z, 0.0, 1.0)),
        _beta_lower,
        _beta_upper,
        lambda rng, size, a, b: rng.beta(a, b, size),
    ),
}
"""By the family's name."""
