"""A board by skill keeps a rule proper: in a field of distorted reports the truth has the best place.

Every report is of the same belief, N(0, 1) or an event of probability 0.3, in rounds whose outcomes are its quantiles
in a random order, so that means over them are those that one expects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import scipy.stats

from crunch_game.ranking import Board, BoardRound, Boards, Metric
from crunch_game.scoring import CRPS, Brier, LogScore, Pinball, WeightedInterval, mixture, normal
from crunch_game.storage.base import Prediction

pytestmark = pytest.mark.slow

T0 = datetime(2024, 1, 1, tzinfo=UTC)
ROUNDS, DISTORTED = 600, 200
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
Draw = np.random.Generator


def distorted_density(draw: Draw) -> Any:
    """Moved, wider, narrower, of two parts or of another family: by a fifth at least."""
    shift = float(draw.choice([-1, 1]) * draw.uniform(0.2, 2))
    stretch = float(draw.choice([draw.uniform(0.4, 0.8), draw.uniform(1.25, 3)]))
    kinds: list[Callable[[], Any]] = [
        lambda: normal(shift, 1),
        lambda: normal(0, stretch),
        lambda: mixture([(1, normal(shift, 1)), (1, normal(-shift, stretch))]),
    ]
    return kinds[draw.integers(3)]()


def distorted_quantiles(draw: Draw) -> Any:
    shift, stretch = draw.choice([-1, 1]) * draw.uniform(0.3, 2), draw.choice([0.5, 1.6])
    values = shift + stretch * scipy.stats.norm.ppf(LEVELS)
    return {"levels": LEVELS, "values": values.tolist()}


QUANTILES = {"levels": LEVELS, "values": scipy.stats.norm.ppf(LEVELS).tolist()}
CASES: list[tuple[Any, Any, Callable[[Draw], Any]]] = [
    (CRPS(), normal(0, 1), distorted_density),
    (LogScore(), normal(0, 1), distorted_density),
    (Pinball(LEVELS), QUANTILES, distorted_quantiles),
    (WeightedInterval(LEVELS), QUANTILES, distorted_quantiles),
    (Brier(), 0.3, lambda draw: float(np.clip(0.3 + draw.choice([-1, 1]) * draw.uniform(0.1, 0.7), 0, 1))),
]


def losses(rule: Any, value: Any, outcomes: Sequence[Any]) -> list[float]:
    answer = Prediction("ada", "d1", "BTC", *[None] * 2, 3600.0, value=value)  # type: ignore[arg-type]
    return [float(each) for each in rule.score_many([answer] * len(outcomes), outcomes)]


@pytest.mark.parametrize(("rule", "truth", "distorted"), CASES, ids=lambda each: type(each).__name__)
def test_the_truth_has_more_skill_than_any_of_200_distorted_reports(rule: Any, truth: Any, distorted: Any) -> None:
    draw = np.random.default_rng(12)
    places = (draw.permutation(ROUNDS) + 0.5) / ROUNDS
    outcomes = (places < 0.3).astype(int).tolist() if truth == 0.3 else scipy.stats.norm.ppf(places).tolist()
    columns = {"truth": losses(rule, truth, outcomes)}
    columns |= {f"m{number}": losses(rule, distorted(draw), outcomes) for number in range(DISTORTED)}
    boards = Boards([Board("all", windows={"all": "3650d"})], {"score": Metric(rule.higher_is_better, rule.unit)})
    for hour in range(ROUNDS):
        at = T0 + timedelta(hours=hour)
        scores = {"score": {name: column[hour] for name, column in columns.items()}}
        boards.put(BoardRound("BTC", at, at + timedelta(hours=1), scores=scores))
    best, second, *_ = boards.standings(T0 + timedelta(hours=ROUNDS))["all"]

    assert (best.model_id, best.rank, second.rank) == ("truth", 1, 2)
    assert best.skill > second.skill  # type: ignore[operator]
