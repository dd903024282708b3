"""VolatilityCRPS: how well a forecast's densities foretell by how much the price moves about, block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC
from reprlib import repr as brief
from typing import Any, ClassVar

from crunch_game._public import public
from crunch_game._quantities import Duration, counted, seconds
from crunch_game.errors import GameError
from crunch_game.scoring.answers import Density, as_components
from crunch_game.scoring.base import AnsweredRound, Unit


@public
class VolatilityCRPS:
    """The CRPS of realised volatilities, in basis points, as Synth has it since September 2026; lower is better.

    The answer has the densities of the price's changes at every step, for each of some step lengths: a mapping such as
    {60: [...], 300: [...]} (in JSON, "60"), or one list. The outcome are the prices at the finest step, that at the
    start and at the end included, None where one is not known. From the densities of all step lengths jointly, price
    paths are sampled; a block's volatility is the standard deviation (n - 1) of its relative changes, and the score is

        weight * mean over the lengths of blocks of the mean over the blocks of CRPS(paths' volatilities, realised one)

    where CRPS(X, y) = E|X - y| - E|X - X'| / 2 over the sampled paths and all their pairs, each with itself included.
    A block with fewer than two known changes adds nothing.

    Anybody can do it again: chance depends on the round's `key` and `at` alone, so that equal answers have equal
    scores, and whoever knows the round can sample the same paths. It is proper, but for the size of the sample (pairs
    with oneself favour volatilities that are narrower by about 1 / paths), and not strictly: only the law of the
    volatilities counts.

    Args:
        blocks: Their lengths, each a multiple of the finest step.
        weight: Synth's λ.
        paths: How many are sampled.

    Raises:
        GameError: A length is no duration, `weight` is not positive, or there are fewer than two paths.
    """

    formula: ClassVar[str] = "λ · mean of E|V − v| − E|V − V′| / 2 over blocks"
    source: ClassVar[str] = "https://synthdata.co/research/introducing-volatility-crps-updated"
    takes: ClassVar[frozenset[str]] = frozenset({"density"})
    higher_is_better: bool = False
    unit: Unit = "usual"
    strictly_proper: bool = False

    def __init__(
        self, blocks: Sequence[Duration] = ("1h", "15m", "5m"), *, weight: float = 5.25, paths: int = 1000
    ) -> None:
        if not blocks:
            raise GameError("VolatilityCRPS needs the length of a block, such as blocks=['5m']")
        if not 0 < weight < math.inf:
            raise GameError(f"VolatilityCRPS(weight={weight!r}): weight must be a positive number")
        if paths < 2:
            raise GameError(f"VolatilityCRPS(paths={paths!r}): at least two paths are sampled")
        self._blocks = [seconds(block, "the length of a block") for block in blocks]
        self._weight = weight
        self._paths = paths

    def __repr__(self) -> str:
        return f"VolatilityCRPS({self._blocks!r}, weight={self._weight!r}, paths={self._paths!r})"

    def prepare(self) -> None:
        """Load the libraries that the rule needs.

        Raises:
            MissingExtra: numpy or scipy is not installed.
        """
        from crunch_game.scoring.rules.formulas import np  # noqa: F401

    def check(self, value: Any, arguments: Mapping[str, Any]) -> None:
        """Check an answer as it arrives.

        Raises:
            ValueError: This rule could not score it.
        """
        for densities in _by_length(value, 1.0).values():
            for density in densities:
                as_components(density)

    def score_round(self, answered: AnsweredRound, /) -> Mapping[str, float | Exception]:
        """Return the score of every answer, or a ValueError in its place.

        Raises:
            ValueError: The prices are not known well enough.
            MissingExtra: numpy or scipy is not installed.
        """
        self.prepare()
        if not answered.outcomes:
            _prices(answered.outcome)
        return {model_id: self._score(answered, model_id) for model_id in answered.answers}

    def _score(self, answered: AnsweredRound, model_id: str) -> float | ValueError:
        from crunch_game.scoring.rules.formulas import sample_paths, volatility_crps

        try:
            prices = _prices(answered.outcome_of(model_id))
            answer = _by_length(answered.answers[model_id].value, answered.horizon)
            seed = f"{answered.key} {answered.at.astimezone(UTC).isoformat()}"
            paths = sample_paths(answer, prices[0], self._paths, seed)
            if paths.shape[1] != len(prices):
                raise ValueError(
                    f"the answer has {counted(paths.shape[1] - 1, 'step')} where the prices have {len(prices) - 1}"
                )
            step = answered.horizon / (len(prices) - 1)
            return volatility_crps(paths, prices, [_steps(block, step) for block in self._blocks], self._weight)
        except ValueError as error:
            return error


def _by_length(value: Any, horizon: float) -> dict[int, Sequence[Density]]:
    """The densities of an answer by step length, in seconds; one list of them has the horizon to itself."""
    if isinstance(value, list | tuple) and value:
        return {round(horizon / len(value)): value}
    if not isinstance(value, Mapping) or not value or "type" in value:
        raise ValueError(f"the answer must be lists of densities by step length, or one such list, not {brief(value)}")
    try:
        found = {int(length): densities for length, densities in value.items()}
    except (TypeError, ValueError):
        raise ValueError(f"step lengths are whole seconds, not {brief(list(value))}") from None
    for length, densities in found.items():
        if length < 1 or not isinstance(densities, list | tuple) or not densities:
            raise ValueError(f"the answer must have a list of densities for the step length {length} s")
    return found


def _prices(outcome: Any) -> list[float]:
    plain = outcome.tolist() if hasattr(outcome, "tolist") else outcome
    if not isinstance(plain, list | tuple):
        raise ValueError(f"the outcome must be a list of prices, not {brief(outcome)}")
    prices = [math.nan if price is None else float(price) for price in plain]
    known = sum(map(math.isfinite, prices))
    if known < 3 or not math.isfinite(prices[0]):
        raise ValueError(f"too few prices are known: {known} of {len(prices)}; the first and two others are needed")
    return prices


def _steps(block: float, step: float) -> int:
    steps = round(block / step)
    if not math.isclose(steps * step, block):
        raise ValueError(f"a block of {block:g} s is not made of steps of {step:g} s")
    return steps
