"""What rules need of the families of densities, as arrays: the CRPS in closed form, the log of the density, its peak.

Every function takes the distance of the outcome from `loc`, the scale and the shapes of the family, in the order of
FAMILIES, as arrays of one shape. The CRPS follow A. Jordan, F. Krüger, S. Lerch (2019), "Evaluating Probabilistic
Forecasts with scoringRules", Journal of Statistical Software 90 (12): E|X - y| minus E|X - X'| / 2, in forms that lose
few digits within the bounds that FAMILIES admits.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from crunch_game.scoring.rules.formulas._libraries import Array, np, special

__all__ = ["FORMULAS", "Formulas"]

_ROOT_PI = math.sqrt(math.pi)
_ROOT_2PI = math.sqrt(2 * math.pi)
_LOG_ROOT_2PI = math.log(_ROOT_2PI)


class Formulas(NamedTuple):
    """What is known of a family.

    Attributes:
        crps: Of (distance, scale, *shapes).
        log_density: Of the same; minus infinity where the density is 0, infinity where it is infinite.
        log_peak: The log of the greatest density, of (scale, *shapes); infinity where it has no bound.
    """

    crps: Callable[..., Array]
    log_density: Callable[..., Array]
    log_peak: Callable[..., Array]


# Families without a shape


def _norm_crps(d: Array, scale: Array) -> Array:
    z = d / scale
    return d * special.erf(z / math.sqrt(2)) + scale * (2 / _ROOT_2PI * np.exp(-0.5 * z * z) - 1 / _ROOT_PI)


def _norm_log_density(d: Array, scale: Array) -> Array:
    z = d / scale
    return -0.5 * z * z - np.log(scale) - _LOG_ROOT_2PI


def _norm_log_peak(scale: Array) -> Array:
    return -np.log(scale) - _LOG_ROOT_2PI


def _logistic_crps(d: Array, scale: Array) -> Array:
    return np.abs(d) + scale * (2 * np.log1p(np.exp(-np.abs(d) / scale)) - 1)


def _logistic_log_density(d: Array, scale: Array) -> Array:
    z = np.abs(d) / scale
    return -z - 2 * np.log1p(np.exp(-z)) - np.log(scale)


def _logistic_log_peak(scale: Array) -> Array:
    return -np.log(scale) - math.log(4)


def _laplace_crps(d: Array, scale: Array) -> Array:
    return np.abs(d) + scale * (np.exp(-np.abs(d) / scale) - 0.75)


def _laplace_log_density(d: Array, scale: Array) -> Array:
    return -np.abs(d) / scale - np.log(scale) - math.log(2)


def _laplace_log_peak(scale: Array) -> Array:
    return -np.log(scale) - math.log(2)


def _uniform_crps(d: Array, scale: Array) -> Array:
    z = np.clip(d / scale, 0.0, 1.0)
    outside = np.maximum(np.maximum(-d, d - scale), 0.0)
    return outside + scale * (z**3 + (1 - z) ** 3) / 3


def _uniform_log_density(d: Array, scale: Array) -> Array:
    return np.where((d >= 0) & (d <= scale), -np.log(scale), -np.inf)


def _expon_crps(d: Array, scale: Array) -> Array:
    return np.abs(d) + scale * (0.5 + 2 * np.expm1(-np.maximum(d, 0.0) / scale))


def _expon_log_density(d: Array, scale: Array) -> Array:
    return np.where(d >= 0, -d / scale - np.log(scale), -np.inf)


def _peak_of_one(scale: Array) -> Array:
    return -np.log(scale)


# Student's t


def _t_crps(d: Array, scale: Array, df: Array) -> Array:
    d = np.abs(d)
    far = np.sqrt(df / math.pi) * _half_step(df / 2) * np.exp((1 - df) / 2 * _log_one_and_square(d / scale, df))
    spread = np.sqrt(df) * _half_step(df / 2) ** 2 / (_ROOT_PI * _half_step(df - 0.5))
    return d - 2 * d * special.stdtr(df, -d / scale) + 2 * scale * (far - spread) / (df - 1)


def _t_log_density(d: Array, scale: Array, df: Array) -> Array:
    return _t_log_peak(scale, df) - (df + 1) / 2 * _log_one_and_square(np.abs(d) / scale, df)


def _t_log_peak(scale: Array, df: Array) -> Array:
    return np.log(_half_step(df / 2)) - 0.5 * np.log(df * math.pi) - np.log(scale)


def _log_one_and_square(z: Array, df: Array) -> Array:
    """The log of 1 + z²/df, where z² may be too large a number."""
    root = z / np.sqrt(df)
    return np.where(root < 1e100, np.log1p(np.minimum(root, 1e100) ** 2), 2 * np.log(np.maximum(root, 1.0)))


# Lognormal


def _lognorm_crps(d: Array, scale: Array, s: Array) -> Array:
    inside = np.maximum(d, 0.0)
    omega = _log_ratio(inside, scale) / s
    below = 2 * np.exp(s**2 / 2 + special.log_ndtr(-s / math.sqrt(2)))
    wide = inside * special.erf(omega / math.sqrt(2)) + scale * (
        below - 2 * np.exp(s**2 / 2 + special.log_ndtr(omega - s))
    )
    # For small s these nearly cancel, and E|X - y| - E|X - X'| / 2 does not.
    relative = np.expm1(s * omega - s**2 / 2) * special.erf(omega / math.sqrt(2))
    narrow = scale * np.exp(s**2 / 2) * (relative + 2 * _normal_between(omega, s) - special.erf(s / 2))
    found = np.where((s <= 1) & (np.abs(s * omega) < 1), narrow, wide)
    return np.where(d > 0, found, scale * below - d)


def _lognorm_log_density(d: Array, scale: Array, s: Array) -> Array:
    omega = _log_ratio(np.maximum(d, 0.0), scale) / s
    return np.where(d > 0, -0.5 * omega**2 - np.log(s) - _LOG_ROOT_2PI - np.log(np.maximum(d, 1e-320)), -np.inf)


def _lognorm_log_peak(scale: Array, s: Array) -> Array:
    return s**2 / 2 - np.log(s) - _LOG_ROOT_2PI - np.log(scale)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def _normal_between(omega: Array, s: Array) -> Array:
    """Phi(omega) - Phi(omega - s), of s up to 1, by Gauss's quadrature, which does not cancel."""
    points = omega[..., None] - s[..., None] * (1 + _NODES) / 2
    return s * (np.exp(-0.5 * points**2) * _WEIGHTS).sum(axis=-1) / (2 * _ROOT_2PI)


# Gamma


def _gamma_crps(d: Array, scale: Array, a: Array) -> Array:
    z = np.minimum(np.maximum(d, 0.0) / scale, 1e200)
    sides = (np.maximum(d, 0.0) - a * scale) * (2 * special.gammainc(a, z) - 1)
    inside = sides + scale * (2 * np.exp(_gamma_log_mass(z, a)) - _half_step(a) / _ROOT_PI)
    return inside + np.maximum(-d, 0.0)


def _gamma_log_density(d: Array, scale: Array, a: Array) -> Array:
    z = np.minimum(np.maximum(d, 0.0) / scale, 1e200)
    inside = _gamma_log_mass(z, a) - np.log(np.maximum(d, 0.0))
    return np.where(d > 0, inside, np.where(d == 0, _at_a_bound(a, -np.log(scale)), -np.inf))


def _gamma_log_peak(scale: Array, a: Array) -> Array:
    inside = _gamma_log_density((np.maximum(a, 1.0) - 1) * scale, scale, np.maximum(a, 1.0))
    return np.where(a < 1, np.inf, inside)


def _gamma_log_mass(z: Array, a: Array) -> Array:
    """The log of z times the density at z, by the saddle point of C. Loader (2000), "Fast and Accurate Computation of
    Binomial Probabilities"."""
    return 0.5 * np.log(a) - _LOG_ROOT_2PI - _stirling_rest(a) - (z - a) + a * _log_ratio(z, a)


def _at_a_bound(shape: Array, of_one: Array) -> Array:
    """The log of a density at a bound, which it nears as the power `shape` - 1 of the distance."""
    return np.where(shape == 1, of_one, np.where(shape > 1, -np.inf, np.inf))


# Beta


def _beta_crps(d: Array, scale: Array, a: Array, b: Array) -> Array:
    # Seen from the bound that it is nearer to: there z and the mean keep their digits.
    d, a, b = np.where(a <= b, d, scale - d), np.minimum(a, b), np.maximum(a, b)
    z = np.clip(d / scale, 0.0, 1.0)
    sides = (z - a / (a + b)) * (2 * special.betainc(a, b, z) - 1)
    spread = _half_step(a) * _half_step(b) / (_half_step(a + b) * (a + b) * _ROOT_PI)
    inside = scale * (sides + 2 * np.exp(_beta_log_mass(z, a, b)) / (a + b) - spread)
    return inside + np.maximum(np.maximum(-d, d - scale), 0.0)


def _beta_log_density(d: Array, scale: Array, a: Array, b: Array) -> Array:
    d, a, b = np.where(a <= b, d, scale - d), np.minimum(a, b), np.maximum(a, b)
    inside = _beta_log_mass(d / scale, a, b) - np.log(d) - np.log((scale - d) / scale)
    low, high = _at_a_bound(a, np.log(b) - np.log(scale)), _at_a_bound(b, np.log(a) - np.log(scale))
    at_bounds = np.where(d == 0, low, np.where(d == scale, high, -np.inf))
    return np.where((d > 0) & (d < scale), inside, at_bounds)


def _beta_log_peak(scale: Array, a: Array, b: Array) -> Array:
    p, q = np.maximum(a, 1.0) - 1, np.maximum(b, 1.0) - 1
    mode = np.where(p + q > 0, p / np.where(p + q > 0, p + q, 1.0), 0.5)
    inside = _beta_log_density(mode * scale, scale, np.maximum(a, 1.0), np.maximum(b, 1.0))
    return np.where((a < 1) | (b < 1), np.inf, inside)


def _beta_log_mass(z: Array, a: Array, b: Array) -> Array:
    """The log of z (1 - z) times the density at z, by Loader's saddle point."""
    n = a + b
    powers = a * _log_ratio(z, a / n) + b * _log_ratio(1 - z, b / n)
    rests = _stirling_rest(n) - _stirling_rest(a) - _stirling_rest(b)
    return 0.5 * (np.log(a) + np.log(b) - np.log(n)) - _LOG_ROOT_2PI + rests + powers


# Functions without cancellation


def _log_ratio(a: Array, b: Array) -> Array:
    """log(a / b)."""
    near = (a - b) / b
    return np.where(np.abs(near) < 0.5, np.log1p(np.clip(near, -0.5, 0.5)), np.log(a) - np.log(b))


def _half_step(x: Array) -> Array:
    """Gamma(x + 1/2) / Gamma(x)."""
    small, large = np.minimum(x, 20.0), np.maximum(x, 20.0)
    series = -1 / (8 * large) + 1 / (192 * large**3) - 1 / (640 * large**5) + 17 / (14336 * large**7)
    return np.where(x < 20, special.gamma(small + 0.5) / special.gamma(small), np.sqrt(large) * np.exp(series))


def _stirling_rest(x: Array) -> Array:
    """log Gamma(x) less Stirling's formula (x - 1/2) log(x) - x + log(2 pi) / 2."""
    small, large = np.minimum(x, 15.0), np.maximum(x, 15.0)
    series = 1 / (12 * large) - 1 / (360 * large**3) + 1 / (1260 * large**5) - 1 / (1680 * large**7)
    direct = special.gammaln(small) - ((small - 0.5) * np.log(small) - small + _LOG_ROOT_2PI)
    return np.where(x < 15, direct, series + 1 / (1188 * large**9))


FORMULAS: Mapping[str, Formulas] = {
    "norm": Formulas(_norm_crps, _norm_log_density, _norm_log_peak),
    "t": Formulas(_t_crps, _t_log_density, _t_log_peak),
    "logistic": Formulas(_logistic_crps, _logistic_log_density, _logistic_log_peak),
    "laplace": Formulas(_laplace_crps, _laplace_log_density, _laplace_log_peak),
    "uniform": Formulas(_uniform_crps, _uniform_log_density, _peak_of_one),
    "expon": Formulas(_expon_crps, _expon_log_density, _peak_of_one),
    "lognorm": Formulas(_lognorm_crps, _lognorm_log_density, _lognorm_log_peak),
    "gamma": Formulas(_gamma_crps, _gamma_log_density, _gamma_log_peak),
    "beta": Formulas(_beta_crps, _beta_log_density, _beta_log_peak),
}
