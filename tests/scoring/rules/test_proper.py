"""Properness by simulation: over outcomes of the truth, telling it costs less than each of 200 distorted reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.stats

import crunch_game.scoring
from crunch_game.scoring import (
    CRPS,
    AbsoluteError,
    Brier,
    Energy,
    LogScore,
    Pinball,
    RankedProbability,
    SquaredError,
    StepwiseRule,
    WeightedInterval,
    density,
    mixture,
    normal,
)
from crunch_game.storage.base import Prediction

pytestmark = pytest.mark.slow

DISTORTED = 200
STRATA = 400
"""Outcomes of equal probability. A report is distorted by a tenth or more, which so many tell."""
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def expected(rule: StepwiseRule, value: Any, outcomes: Sequence[Any]) -> Any:
    """The scores of one report, for each outcome."""
    answer = Prediction("ada", "d1", "BTC", *[None] * 2, 3600.0, value=value)  # type: ignore[arg-type]
    return np.array(rule.score_many([answer] * len(outcomes), outcomes), dtype=float)


def distorted_normal(rng: Any) -> Any:
    """Moved, wider, narrower or of two parts: each by at least a tenth."""
    shift, stretch = rng.choice([-1, 1]) * rng.uniform(0.1, 2), rng.choice([rng.uniform(0.3, 0.9), rng.uniform(1.1, 3)])
    kind = rng.integers(4)
    if kind == 0:
        return normal(shift, 1)
    if kind == 1:
        return normal(0, stretch)
    if kind == 2:
        return mixture([(1, normal(shift, 1)), (1, normal(-shift, stretch))])
    return density("laplace", loc=shift, scale=stretch)


@pytest.mark.parametrize("rule", [CRPS(), LogScore()], ids=lambda rule: type(rule).__name__)
def test_no_other_density_beats_the_truth(rule: StepwiseRule) -> None:
    rng = np.random.default_rng(1)
    # Strata instead of draws: the mean over them is the expectation, but for the ends of the tails.
    outcomes = scipy.stats.norm.ppf((np.arange(STRATA) + 0.5) / STRATA).tolist()
    truth = expected(rule, normal(0, 1), outcomes).mean()
    others = [expected(rule, distorted_normal(rng), outcomes).mean() for _ in range(DISTORTED)]
    assert min(others) > truth


def test_no_other_quantiles_beat_those_of_the_truth() -> None:
    rng = np.random.default_rng(2)
    outcomes = scipy.stats.norm.ppf((np.arange(STRATA) + 0.5) / STRATA).tolist()
    right = scipy.stats.norm.ppf(LEVELS)
    for rule in (Pinball(LEVELS), WeightedInterval(LEVELS), CRPS(levels=LEVELS)):
        truth = expected(rule, {"levels": LEVELS, "values": right.tolist()}, outcomes).mean()
        for _ in range(DISTORTED):
            values = np.sort(right + rng.normal(scale=0.4, size=5)).tolist()
            assert expected(rule, {"levels": LEVELS, "values": values}, outcomes).mean() > truth


def test_no_other_probability_beats_the_truth() -> None:
    rng = np.random.default_rng(3)
    for p in (0.03, 0.3, 0.5):
        for q in rng.uniform(size=DISTORTED).tolist():
            came, not_came = expected(Brier(), q, [1, 0])
            true_came, true_not = expected(Brier(), p, [1, 0])
            assert p * came + (1 - p) * not_came > p * true_came + (1 - p) * true_not
    truth = np.array([0.5, 0.3, 0.15, 0.05])
    for rule in (Brier(), RankedProbability()):
        best = truth @ expected(rule, truth.tolist(), range(4))
        for q in rng.dirichlet(np.ones(4), size=DISTORTED):
            assert truth @ expected(rule, q.tolist(), range(4)) > best


def test_no_other_sample_beats_one_of_the_truth() -> None:
    """The same draws, distorted: of one number and of paths, also where only what steps have in common is wrong."""
    rng = np.random.default_rng(4)
    mix = np.array([[1.0, 0.0], [0.8, 0.6]])
    draws, outcomes = rng.normal(size=(90, 2)) @ mix.T, (rng.normal(size=(90, 2)) @ mix.T).tolist()
    firsts = [y[0] for y in outcomes]
    energy, crps = expected(Energy(), draws.tolist(), outcomes), expected(CRPS(), draws[:, 0].tolist(), firsts)
    for _ in range(DISTORTED):
        shift, stretch = rng.choice([-1, 1], size=2) * rng.uniform(0.7, 2, size=2), rng.choice([0.4, 2.0])
        wrong = draws + shift if rng.integers(2) else draws * stretch
        assert expected(Energy(), wrong.tolist(), outcomes).mean() > energy.mean()
        wrong = draws[:, :1] * rng.choice([0.4, 2.0]) + rng.uniform(-1, 1)
        assert expected(CRPS(), wrong[:, 0].tolist(), firsts).mean() > crps.mean()
    apart = np.stack([draws[:, 0], rng.permutation(draws[:, 1])], axis=1)
    assert expected(Energy(), apart.tolist(), outcomes).mean() > energy.mean()


def test_the_best_point_is_the_mean_or_the_median_and_no_other() -> None:
    outcomes = scipy.stats.expon.ppf((np.arange(STRATA) + 0.5) / STRATA)
    rng = np.random.default_rng(5)
    for rule, best in ((SquaredError(), outcomes.mean()), (AbsoluteError(), float(np.median(outcomes)))):
        least = expected(rule, best, outcomes.tolist()).mean()
        for off in rng.choice([-1, 1], size=DISTORTED) * rng.uniform(0.01, 2, size=DISTORTED):
            assert expected(rule, best + off, outcomes.tolist()).mean() > least


def test_every_rule_is_held_by_one_of_these() -> None:
    face = [getattr(crunch_game.scoring, name) for name in crunch_game.scoring.__all__]
    rules = {each for each in face if isinstance(each, type) and issubclass(each, StepwiseRule)} - {StepwiseRule}
    held = {CRPS, LogScore, Pinball, WeightedInterval, Brier, RankedProbability, Energy, SquaredError, AbsoluteError}
    assert {rule for rule in rules if rule.strictly_proper} <= held
