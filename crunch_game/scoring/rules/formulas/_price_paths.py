"""Price paths that a forecast's densities amount to, and how well they foretell volatility.

Paths are sampled from the densities of all step lengths jointly, the same ones every time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise

from numpy.typing import ArrayLike

from crunch_game._public import public
from crunch_game.scoring.answers import Density, as_components
from crunch_game.scoring.rules.formulas._draws import crps_of_samples
from crunch_game.scoring.rules.formulas._libraries import Array, np, special

_QUANTILES: Mapping[str, Callable[..., Array]] = {
    "norm": special.ndtri,
    "t": lambda u, df: special.stdtrit(df, u),
    "logistic": special.logit,
    "laplace": lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u))),
    "uniform": lambda u: u,
    "expon": lambda u: -np.log1p(-u),
    "lognorm": lambda u, s: np.exp(s * special.ndtri(u)),
    "gamma": lambda u, a: special.gammaincinv(a, u),
    "beta": lambda u, a, b: special.betaincinv(a, b, u),
}
"""Of the families' standard forms; probabilities and shapes are arrays of one length."""


@public
def sample_paths(answer: Mapping[int, Sequence[Density]], start: float, paths: int, seed: str) -> Array:
    """Return `paths` price paths at the finest step, the start included: shape (paths, steps + 1).

    The changes of each step length are drawn independently. Those of a finer one are then moved, all of one coarser
    change by the same amount, so that they sum to it: the coarser densities hold, and the finer ones as far as that
    leaves them.

    Chance depends on the seed and the step length alone: equal answers have equal paths. The uniform numbers are the
    upper 53 bits of PCG64's, and a density's quantiles are taken at them, so that they do not change with numpy.

    Args:
        answer: The densities of the price's changes, by step length in seconds; every length covers one horizon.
        start: The price at the beginning.
        paths: How many.
        seed: Any text.

    Raises:
        ValueError: Something is no density, or step lengths do not divide each other.
    """
    lengths = sorted(answer, reverse=True)
    changes = {length: _changes(answer[length], paths, f"{seed} {length}") for length in lengths}
    for coarse, fine in pairwise(lengths):
        groups, whole = changes[fine], changes[coarse]
        parts = groups.shape[1] // max(1, whole.shape[1])
        if parts * whole.shape[1] != groups.shape[1] or parts * fine != coarse:
            raise ValueError(
                f"{whole.shape[1]} steps of {coarse} seconds are not made of {groups.shape[1]} steps of {fine}"
            )
        apart = groups.reshape(paths, -1, parts)
        apart = apart + ((whole - apart.sum(axis=2)) / parts)[:, :, None]
        changes[fine] = apart.reshape(paths, -1)
    finest = changes[lengths[-1]]
    return np.hstack([np.full((paths, 1), float(start)), start + np.cumsum(finest, axis=1)])


def _changes(densities: Sequence[Density], paths: int, seed: str) -> Array:
    """Independent draws of each density: shape (paths, densities)."""
    each = [as_components(density) for density in densities]
    parts = [part for some in each for part in some]
    first = np.cumsum([0, *map(len, each)])
    chance = np.random.PCG64(int.from_bytes(sha256(seed.encode()).digest()))
    which, where = _uniform(chance, paths, len(each)), _uniform(chance, paths, len(each))
    shares = np.cumsum([part.weight for part in parts])
    # The shares of one density sum to one, so that of all densities in a row one number tells density and component.
    chosen = np.searchsorted(shares, which + np.arange(len(each)), side="right")
    chosen = np.clip(chosen, first[:-1], first[1:] - 1)
    draws = np.empty_like(where)
    families = [part.family for part in parts]
    for family in dict.fromkeys(families):
        own = np.array([each == family for each in families])
        *shapes, loc, scale = np.array([part.parameters for part in parts if part.family == family]).T
        mask = own[chosen]
        place = (np.cumsum(own) - 1)[chosen[mask]]
        draws[mask] = loc[place] + scale[place] * _QUANTILES[family](where[mask], *(shape[place] for shape in shapes))
    return draws


def _uniform(chance: np.random.PCG64, rows: int, columns: int) -> Array:
    """Numbers between 0 and 1, both excluded."""
    bits = np.asarray(chance.random_raw(rows * columns), dtype=np.uint64) >> np.uint64(11)
    return ((bits.astype(np.float64) + 0.5) * 2.0**-53).reshape(rows, columns)


@public
def volatility_crps(paths: ArrayLike, prices: ArrayLike, blocks: Sequence[int], weight: float = 5.25) -> float:
    """Return the score that VolatilityCRPS gives to these paths.

    Args:
        paths: Prices, shape (paths, steps + 1).
        prices: The real ones, shape (steps + 1,); NaN where one is not known.
        blocks: The lengths of blocks, in steps.
        weight: Of the mean over them.

    Raises:
        ValueError: A block has fewer than two steps or is longer than the prices, no block has two known changes, or a
            path has a volatility that is not finite: it reaches a price of 0.
    """
    simulated, real = np.asarray(paths, dtype=np.float64), np.asarray(prices, dtype=np.float64)
    total, known = 0.0, False
    for block in blocks:
        if not 2 <= block <= len(real) - 1:
            raise ValueError(f"a block has from 2 to all {len(real) - 1} steps, not {block}")
        realised = _volatilities(real[None], block)[0]
        there = ~np.isnan(realised)
        known |= bool(there.any())
        ensembles = _volatilities(simulated, block)[:, there]
        if not np.isfinite(ensembles).all():
            raise ValueError("the volatility of a sampled path is not finite: it reaches a price of 0")
        total += math.fsum(crps_of_samples([*ensembles.T], realised[there].tolist(), fair=False)) / len(realised)
    if not known:
        raise ValueError("too few prices are known: no block has two changes in a row of known prices")
    return weight * total / len(blocks)


def _volatilities(paths: Array, block: int) -> Array:
    """By path and block, in basis points; NaN where fewer than two changes are known."""
    with np.errstate(all="ignore"):
        changes = 10_000 * np.diff(paths, axis=1) / paths[:, :-1]
        count = changes.shape[1] // block
        parts = changes[:, : count * block].reshape(len(paths), count, block)
        known = np.isfinite(parts) if len(paths) == 1 else np.ones_like(parts, dtype=bool)
        number = known.sum(axis=2)
        mean = np.where(known, parts, 0.0).sum(axis=2) / number
        squares = np.where(known, (parts - mean[:, :, None]) ** 2, 0.0).sum(axis=2)
        return np.where(number < 2, np.nan, np.sqrt(squares / (number - 1)))
