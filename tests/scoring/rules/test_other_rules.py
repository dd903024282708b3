"""The rules for events, categories, quantiles, paths and points against their definitions and other libraries."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import properscoring
import pytest
import scoringrules
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.scoring import (
    CRPS,
    AbsoluteError,
    Brier,
    Energy,
    Pinball,
    RankedProbability,
    SquaredError,
    StepwiseRule,
    WeightedInterval,
)
from crunch_game.storage.base import Prediction

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def score(rule: StepwiseRule, value: Any, outcome: Any) -> float:
    return rule.score(Prediction("ada", "d1", "BTC", T0, T0 + timedelta(hours=1), 3600.0, value=value), outcome)


probabilities = st.floats(0, 1)
simplex = st.lists(st.floats(0.01, 1), min_size=2, max_size=6).map(lambda each: [p / math.fsum(each) for p in each])
numbers = st.floats(-1e6, 1e6)
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


@given(probabilities, st.booleans())
def test_brier_of_an_event(p: float, came: bool) -> None:
    expected = pytest.approx(float(properscoring.brier_score(int(came), p)), abs=1e-15)
    for outcome in (came, int(came), float(came), np.bool_(came)):
        assert score(Brier(), p, outcome) == expected
    assert score(Brier(), 0.5, came) == Brier.unit == 0.25


@given(simplex, st.data())
def test_brier_of_categories_is_half_the_sum(p: list[float], data: st.DataObject) -> None:
    came = data.draw(st.integers(0, len(p) - 1))
    expected = sum((each - (k == came)) ** 2 for k, each in enumerate(p)) / 2
    assert score(Brier(), p, came) == pytest.approx(expected)
    assert score(Brier(), {f"c{k}": each for k, each in enumerate(p)}, f"c{came}") == pytest.approx(expected)
    assert score(Brier(), [p[0], 1 - p[0]], 0) == pytest.approx(score(Brier(), p[0], True))


@given(simplex, st.data())
def test_ranked_probability_is_the_mean_brier_of_what_lies_below(p: list[float], data: st.DataObject) -> None:
    came = data.draw(st.integers(0, len(p) - 1))
    found = score(RankedProbability(), p, came)
    below = [score(Brier(), min(1.0, math.fsum(p[: k + 1])), came <= k) for k in range(len(p) - 1)]
    assert found == pytest.approx(math.fsum(below) / len(below))
    theirs = scoringrules.rps_score(came + 1, np.array(p))  # categories from 1, and the sum
    assert found == pytest.approx(float(theirs) / (len(p) - 1))
    assert 0 <= found <= 1 + 1e-12
    assert score(RankedProbability(), {f"c{k}": each for k, each in enumerate(p)}, f"c{came}") == found


def test_what_is_near_costs_less_only_where_order_counts() -> None:
    near, far = [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]
    assert score(RankedProbability(), near, 2) < score(RankedProbability(), far, 2) == 1
    assert score(Brier(), near, 2) == score(Brier(), far, 2) == 1


def test_events_and_categories_have_steps() -> None:
    assert score(Brier(steps=2), [0.5, 1.0], [True, True]) == 0.125
    assert score(Brier(steps=2, over="sum"), [[0.5, 0.5], [1.0, 0.0]], [0, 0]) == 0.25
    assert score(RankedProbability(), [[0.5, 0.5], [1.0, 0.0]], [0, 0]) == 0.125


def interval(alpha: float, low: float, high: float, y: float) -> float:
    return (high - low) + 2 / alpha * max(low - y, 0) + 2 / alpha * max(y - high, 0)


@given(st.lists(numbers, min_size=5, max_size=5).map(sorted), numbers)
def test_quantiles_have_pinball_losses_and_interval_scores(values: list[float], y: float) -> None:
    answer = {"levels": LEVELS, "values": values}
    theirs = [float(scoringrules.quantile_score(y, v, t)) for v, t in zip(values, LEVELS, strict=True)]
    near = {"rel": 1e-9, "abs": 1e-9}
    assert score(Pinball(LEVELS), answer, y) == pytest.approx(math.fsum(theirs) / 5, **near)
    a, b, m, c, d = values
    expected = (abs(y - m) / 2 + 0.05 * interval(0.1, a, d, y) + 0.25 * interval(0.5, b, c, y)) / 2.5
    assert score(WeightedInterval(LEVELS), answer, y) == pytest.approx(expected, **near)
    library = [scoringrules.interval_score(y, low, high, alpha) for low, high, alpha in ((a, d, 0.1), (b, c, 0.5))]
    assert [interval(0.1, a, d, y), interval(0.5, b, c, y)] == pytest.approx([float(each) for each in library], **near)
    without = {"levels": [0.05, 0.95], "values": [a, d]}
    assert score(WeightedInterval([0.05, 0.95]), without, y) == pytest.approx(0.05 * interval(0.1, a, d, y), **near)


paths = st.integers(1, 4).flatmap(
    lambda steps: st.tuples(
        st.lists(st.lists(numbers, min_size=steps, max_size=steps), min_size=2, max_size=8),
        st.lists(numbers, min_size=steps, max_size=steps),
    )
)


@given(paths)
def test_energy_is_its_definition(drawn: tuple[list[list[float]], list[float]]) -> None:
    draws, y = drawn
    count = len(draws)
    distance = math.fsum(math.dist(x, y) for x in draws) / count
    spread = math.fsum(math.dist(a, b) for a, b in itertools.product(draws, draws)) / 2
    near = {"rel": 1e-9, "abs": 1e-7}
    assert score(Energy(), draws, y) == pytest.approx(distance - spread / count**2, **near)
    fair = score(Energy(estimator="fair"), draws, y)
    assert fair == pytest.approx(distance - spread / (count * (count - 1)), **near)
    assert -1e-9 * distance <= score(Energy(), draws, y) <= distance * (1 + 1e-9)
    theirs = scoringrules.es_ensemble(np.array(y), np.array(draws), estimator="nrg")
    assert score(Energy(), draws, y) == pytest.approx(float(theirs), **near)
    if len(y) == 1:
        assert score(CRPS(), [x[0] for x in draws], y[0]) == pytest.approx(score(Energy(), draws, y), **near)


@pytest.mark.parametrize("power", [-300, -200, 200, 299])
def test_energy_has_the_unit_of_the_outcome_at_any_scale(power: int) -> None:
    draws, y = np.random.default_rng(0).normal(size=(300, 3)), np.array([0.3, -1.0, 2.0])
    unit = 10.0**power
    found = score(Energy(), (draws * unit).tolist(), (y * unit).tolist())
    assert found == pytest.approx(unit * score(Energy(), draws.tolist(), y.tolist()), rel=1e-9)
    assert score(Energy(), [[1.0, 2.0]] * 3, [1.0, 2.0]) == 0


@given(numbers, numbers)
def test_points_have_errors(x: float, y: float) -> None:
    assert score(AbsoluteError(), x, y) == abs(x - y)
    assert score(SquaredError(), x, y) == (x - y) ** 2
    assert score(AbsoluteError(), [x, 1], [y, 3.0]) == pytest.approx((abs(x - y) + 2) / 2)
    assert score(SquaredError(over="sum"), [x, 1], [y, 3.0]) == pytest.approx((x - y) ** 2 + 4)


QUANTILES = {"levels": LEVELS, "values": [1.0, 2.0, 3.0, 4.0, 5.0]}


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (Brier(), 1.5, "a probability must be a number from 0 to 1, got 1.5"),
        (Brier(), math.nan, "a probability must be a number from 0 to 1, got nan"),
        (Brier(), True, "a probability must be a number from 0 to 1, got True"),
        (Brier(), [0.5, 0.6], "the probabilities of all categories must sum to 1, got 1.1"),
        (Brier(), [], "the answer must be the probabilities of categories, a dict or a list, not []"),
        (Brier(), {"a": -0.1, "b": 1.1}, "a probability must be a number from 0 to 1, got -0.1"),
        (RankedProbability(), 0.5, "the answer must be the probabilities of categories, a dict or a list, not 0.5"),
        (Pinball(LEVELS), 0.5, "the answer must be quantiles or a list of them, not 0.5"),
        (Pinball(LEVELS), [], "the answer must be quantiles or a list of them, not []"),
        (Pinball(LEVELS), {"levels": LEVELS}, 'quantiles are a dict with the lists "levels" and "values", not '),
        (Pinball([0.1]), {"levels": [1e-9], "values": [0.0]}, "the levels must be [0.1], got [1e-09]"),
        (Pinball([0.1]), {"levels": [0.1], "values": []}, "there must be as many values as levels, 1, got 0"),
        (Pinball([0.1]), {"levels": [0.1], "values": [math.inf]}, "a value must be a number within ±1e+300, got inf"),
        (
            WeightedInterval([0.1, 0.9]),
            {"levels": [0.1, 0.9], "values": [2, 1]},
            "values must not decrease, but 2 stands before 1",
        ),
        (Energy(), 1.0, "the answer must be a list of paths, each a list of numbers, not 1.0"),
        (Energy(), [], "there must be 1 to 1,000 paths, got 0"),
        (Energy(estimator="fair"), [[1.0]], "there must be 2 to 1,000 paths, got 1"),
        (Energy(most_draws=5), [[1.0]] * 6, "there must be 1 to 5 paths, got 6"),
        (Energy(), [[1.0], [1.0, 2.0]], "all paths must have equally many steps, got 1 and 2"),
        (Energy(), [[1.0], [math.nan]], "a step of a path must be a number within ±1e+300, got nan"),
        (AbsoluteError(), "1", "a point must be a number within ±1e+300, got '1'"),
        (SquaredError(), [1.0, True], "a point must be a number within ±1e+300, got True"),
        (SquaredError(), [], "the answer must be a number or a list of numbers, not []"),
    ],
)
def test_what_they_cannot_score_is_told_on_arrival(rule: StepwiseRule, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        rule.check(value, {})
    assert str(caught.value).startswith(message)
    truth: Any = [1.0] if isinstance(rule, Energy) else 1
    with pytest.raises(ValueError, match=r"."):
        score(rule, value, truth if not isinstance(value, list) or len(value) != 2 else [1, 1])


@pytest.mark.parametrize(
    ("rule", "value", "outcome", "message"),
    [
        (Brier(), 0.5, 2, "the outcome of an event must be True or False, 1 or 0, not 2"),
        (Brier(), 0.5, "yes", "the outcome of an event must be True or False, 1 or 0, not 'yes'"),
        (Brier(), [0.5, 0.5], 2, "the outcome must be the number of a category, 0 to 1, not 2"),
        (Brier(), [0.5, 0.5], True, "the outcome must be the number of a category, 0 to 1, not True"),
        (Brier(), {"a": 1.0}, "b", "the outcome must be one of the categories ['a'], not 'b'"),
        (RankedProbability(), [1.0], 0, "of one category there is nothing to score"),
        (Energy(), [[1.0, 2.0]], [1.0], "the paths have 2 steps where the outcome has 1 numbers"),
        (AbsoluteError(), 1.0, math.nan, "the outcome must be a finite number, or a list of them, not nan"),
        (SquaredError(), 1e300, 0, "the score is not finite: the outcome is too far from the forecast, or the "),
        (Pinball(LEVELS), QUANTILES, [1.0, 2.0], "the answer has 1 step where the outcome has 2"),
    ],
)
def test_outcomes_that_do_not_fit_are_a_sentence(rule: StepwiseRule, value: Any, outcome: Any, message: str) -> None:
    rule.check(value, {})
    with pytest.raises(ValueError, match=r".") as caught:
        score(rule, value, outcome)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pinball([]), "levels increase between 0 and 1, both excluded, and there is at least one: not []"),
        (lambda: Pinball([0.5, 0.5]), "levels increase between 0 and 1"),
        (lambda: Pinball([0.0, 0.5]), "levels increase between 0 and 1"),
        (lambda: WeightedInterval([0.1, 0.8]), "the levels of intervals are as far from 0 as from 1, not [0.1, 0.8]"),
        (lambda: Energy(estimator="pwm"), 'the estimator is "nrg" or "fair", not \'pwm\''),
        (lambda: CRPS(estimator="pwm"), 'the estimator is "nrg" or "fair", not \'pwm\''),
    ],
)
def test_a_rule_that_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        make()
    assert str(caught.value).startswith(message)
