"""VolatilityCRPS, the paths that it samples, and Sum, which brings it to another rule's unit."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crunch_game.errors import GameError
from crunch_game.scoring import (
    CRPS,
    AnsweredRound,
    MedianRatio,
    Sum,
    VolatilityCRPS,
    density,
    mixture,
    normal,
    sample_paths,
    volatility_crps,
)
from crunch_game.storage import Prediction

AT = datetime(2026, 10, 1, tzinfo=UTC)
STEPS = (60, 300, 900, 1800, 3600)


def forecast(sigma=40.0, *, steps=STEPS, shape=normal):
    """Densities that agree: a random walk of this much a minute."""
    return {step: [shape(0.0, sigma * (step / 60) ** 0.5)] * (3600 // step) for step in steps}


def walk(seed, sigma=40.0):
    return [*(60_000 + np.cumsum(np.random.default_rng(seed).normal(0, sigma, 61))).tolist()]


def answered(outcome, at=AT, key="BTC", **answers):
    when = (at, at + timedelta(hours=1), 3600.0)
    predictions = {model_id: Prediction(model_id, "1", key, *when, value=value) for model_id, value in answers.items()}
    return AnsweredRound(key, *when, {}, outcome, predictions)


# Paths


FAMILIES = [
    density("norm", loc=3, scale=2),
    density("t", df=5, loc=1, scale=2),
    density("logistic", loc=-1, scale=0.5),
    density("laplace", scale=3),
    density("uniform", loc=-1, scale=4),
    density("expon", loc=1, scale=2),
    density("lognorm", s=0.5, loc=-2, scale=3),
    density("gamma", a=2, scale=3),
    density("beta", a=2, b=3, loc=1, scale=5),
]


@pytest.mark.parametrize("forecast", FAMILIES, ids=lambda each: each["name"])
def test_the_changes_of_one_step_have_the_law_of_its_density(forecast):
    paths = sample_paths({60: [normal(0, 1), forecast, normal(0, 1)]}, 0.0, 20_000, "seed")

    frozen = getattr(stats, forecast["name"])(**forecast["params"])
    assert stats.kstest(np.diff(paths, axis=1)[:, 1], frozen.cdf).pvalue > 0.001


def test_a_mixture_is_drawn_by_its_weights_be_it_nested_or_beside_others():
    inner = mixture([(3, density("laplace", loc=4)), (1, normal(-6, 0.5))])
    paths = sample_paths({60: [inner, mixture([(1, normal(9, 1)), (0, normal(1e9, 1)), (1, inner)])]}, 0.0, 20_000, "s")

    def cdf(x):
        return 0.75 * stats.laplace.cdf(x, 4) + 0.25 * stats.norm.cdf(x, -6, 0.5)

    first, second = np.diff(paths, axis=1).T
    assert stats.kstest(first, cdf).pvalue > 0.001
    assert stats.kstest(second, lambda x: 0.5 * stats.norm.cdf(x, 9, 1) + 0.5 * cdf(x)).pvalue > 0.001


def test_steps_are_independent_and_the_finest_ones_of_a_length_alone_are_as_forecast():
    changes = np.diff(sample_paths({60: [normal(0, 1)] * 60}, 0.0, 5_000, "seed"), axis=1)

    correlations = np.corrcoef(changes.T)[np.triu_indices(60, 1)]
    assert abs(correlations).max() < 5 / math.sqrt(5_000)
    assert stats.kstest(changes.ravel(), "norm").pvalue > 0.001


def test_the_coarser_densities_hold_and_finer_steps_are_moved_together():
    coarse, fine = [normal(5, 1), normal(-5, 2)], [normal(0, 0.1)] * 4
    paths = sample_paths({1800: coarse, 900: fine}, 100.0, 4_000, "seed")
    alone = np.diff(sample_paths({900: fine}, 0.0, 4_000, "seed"), axis=1)
    changes = np.diff(paths, axis=1)

    assert (paths[:, 0] == 100.0).all()
    for half, law in enumerate(([5, 1], [-5, 2])):
        whole = paths[:, 2 * half + 2] - paths[:, 2 * half]
        assert stats.kstest(whole, stats.norm(*law).cdf).pvalue > 0.001
        shift = changes[:, 2 * half : 2 * half + 2] - alone[:, 2 * half : 2 * half + 2]
        assert shift[:, 0] == pytest.approx(shift[:, 1], abs=1e-9)


def test_anybody_can_sample_the_same_paths():
    """These numbers are written down: with a later numpy they must be the same, or scores could not be done again."""
    written = [
        [10.0, 11.474713638194979, 12.327049754284577],
        [10.0, 8.518815780520125, 7.75216029374477],
        [10.0, 10.005493459570037, 10.107652708295111],
    ]
    paths = sample_paths({60: [normal(0, 1)] * 2, 120: [density("laplace")]}, 10.0, 3, "BTC 2026-10-01T00:00:00+00:00")

    assert paths == pytest.approx(np.array(written), rel=1e-13)
    assert not np.array_equal(paths, sample_paths({60: [normal(0, 1)] * 2, 120: [density("laplace")]}, 10.0, 3, "ETH"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({60: [normal(0, 1)] * 3, 120: [normal(0, 1)]}, "1 steps of 120 seconds are not made of 3 steps of 60"),
        ({60: [normal(0, 1)] * 2, 90: [normal(0, 1)]}, "1 steps of 90 seconds are not made of 2 steps of 60"),
        ({60: [normal(0, 1)] * 2, 120: ["a normal"]}, 'a dict with the key "type" belongs here'),
    ],
)
def test_what_gives_no_paths_is_refused(answer, message):
    with pytest.raises(ValueError, match=message):
        sample_paths(answer, 0.0, 10, "seed")


# The score of paths


def test_the_score_is_the_mean_over_lengths_of_the_mean_crps_of_blocks():
    chance = np.random.default_rng(5)
    paths, prices = 100 * np.exp(chance.normal(0, 0.01, (50, 13))), 100 * np.exp(chance.normal(0, 0.02, 13))

    expected = []
    for block in (12, 4):
        found = []
        for start in range(0, 12, block):
            part = slice(start, start + block + 1)
            ensemble = [np.std(np.diff(path[part]) / path[part][:-1], ddof=1) * 1e4 for path in paths]
            real = np.std(np.diff(prices[part]) / prices[part][:-1], ddof=1) * 1e4
            found.append(scoringrules.crps_ensemble(real, np.array(ensemble), estimator="nrg", backend="numpy"))
        expected.append(np.mean(found))

    assert volatility_crps(paths, prices, [12, 4], weight=2.0) == pytest.approx(2.0 * np.mean(expected), rel=1e-12)


def test_a_block_with_too_few_known_changes_adds_nothing():
    paths = sample_paths(forecast(), 60_000.0, 200, "seed")
    prices = np.array(walk(1))
    whole = volatility_crps(paths, prices, [15], weight=1.0)
    prices[16:30:2] = math.nan  # no two prices in a row in the second quarter

    parts = [
        volatility_crps(paths[:, start : start + 16], walk(1)[start : start + 16], [15], weight=1.0)
        for start in (0, 15, 30, 45)
    ]
    assert whole == pytest.approx(sum(parts) / 4)
    assert volatility_crps(paths, prices, [15], weight=1.0) == pytest.approx((parts[0] + parts[2] + parts[3]) / 4)


def test_paths_that_move_as_much_as_the_price_are_the_better_ones():
    rule = VolatilityCRPS()
    scores = [
        rule.score_round(answered(walk(seed), **{f"s{sigma:g}": forecast(sigma) for sigma in (10.0, 40.0, 160.0)}))
        for seed in range(20)
    ]
    means = {name: sum(each[name] for each in scores) for name in scores[0]}
    assert min(means, key=means.get) == "s40"


@settings(deadline=None, max_examples=50)
@given(st.floats(1e-3, 1e4), st.integers(0, 50), st.floats(1e-6, 1e6))
def test_it_is_never_negative_and_in_basis_points_whatever_the_price_is_counted_in(sigma, seed, unit):
    outcome = walk(seed)
    [score] = VolatilityCRPS(paths=50).score_round(answered(outcome, a=forecast(sigma))).values()
    scaled = forecast(sigma * unit)
    [other] = VolatilityCRPS(paths=50).score_round(answered([unit * price for price in outcome], a=scaled)).values()

    assert score >= 0
    assert other == pytest.approx(score, rel=1e-6)


# The rule


def test_equal_answers_have_equal_scores_and_other_rounds_other_paths():
    rule, outcome = VolatilityCRPS(), walk(3)
    found = rule.score_round(answered(outcome, a=forecast(), b={str(step): each for step, each in forecast().items()}))

    assert found["a"] == found["b"] == rule.score_round(answered(outcome, c=forecast()))["c"]
    abroad = AT.astimezone(timezone(timedelta(hours=9)))
    assert rule.score_round(answered(outcome, abroad, a=forecast()))["a"] == found["a"]
    assert rule.score_round(answered(outcome, AT + timedelta(hours=1), a=forecast()))["a"] != found["a"]
    assert rule.score_round(answered(outcome, key="ETH", a=forecast()))["a"] != found["a"]


def test_one_list_has_the_horizon_to_itself():
    rule, outcome = VolatilityCRPS(), walk(3)
    alone = rule.score_round(answered(outcome, list=forecast()[60], mapping=forecast(steps=[60])))
    assert alone["list"] == alone["mapping"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "the answer must be lists of densities by step length, or one such list, not None"),
        (normal(0, 1), "the answer must be lists of densities by step length"),
        ({}, "the answer must be lists of densities by step length"),
        ([], "the answer must be lists of densities by step length"),
        ({"a minute": [normal(0, 1)]}, r"step lengths are whole seconds, not \['a minute'\]"),
        ({60: []}, "the answer must have a list of densities for the step length 60 s"),
        ({-60: [normal(0, 1)]}, "the answer must have a list of densities for the step length -60 s"),
        ({60: ["wide"]}, 'a dict with the key "type" belongs here'),
        ({60: [density("norm") | {"name": "cauchy"}] * 60}, "is not one of the families"),
    ],
)
def test_what_cannot_be_scored_is_refused_on_arrival_and_at_scoring_without_harm_to_others(answer, message):
    rule = VolatilityCRPS()
    with pytest.raises(ValueError, match=message):
        rule.check(answer, {})
    found = rule.score_round(answered(walk(3), wrong=answer, right=forecast()))
    with pytest.raises(ValueError, match=message):
        raise found["wrong"]
    assert found["right"] == rule.score_round(answered(walk(3), right=forecast()))["right"]
    rule.check(forecast(), {})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (forecast(steps=[300]), "the answer has 12 steps where the prices have 60"),
        ({60: [normal(-60_000, 1e-300)] + [normal(0, 1e-300)] * 59}, "not finite: it reaches a price of 0"),
    ],
)
def test_what_only_the_prices_show_is_told_at_scoring(answer, message):
    VolatilityCRPS().check(answer, {})
    with pytest.raises(ValueError, match=message):
        raise VolatilityCRPS().score_round(answered(walk(3) if 300 in answer else [60_000.0] * 61, a=answer))["a"]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (None, "the outcome must be a list of prices, not None"),
        ([None, *walk(1)[1:]], "too few prices are known: 60 of 61; the first and two others are needed"),
        ([1.0, 2.0] + [None] * 59, "too few prices are known: 2 of 61"),
    ],
)
def test_prices_that_are_not_known_set_the_round_aside(outcome, message):
    with pytest.raises(ValueError, match=message):
        VolatilityCRPS().score_round(answered(outcome, a=forecast()))


def test_no_two_known_changes_in_any_block_is_no_score_of_zero():
    outcome = [price if minute % 2 == 0 else None for minute, price in enumerate(walk(1))]
    with pytest.raises(ValueError, match="too few prices are known: no block has two changes"):
        raise VolatilityCRPS().score_round(answered(outcome, a=forecast()))["a"]


def test_blocks_are_made_of_steps():
    for blocks, message in ((["90s"], "a block of 90 s is not made of steps of 60 s"), (["2h"], "not 120")):
        with pytest.raises(ValueError, match=message):
            raise VolatilityCRPS(blocks).score_round(answered(walk(1), a=forecast()))["a"]
    with pytest.raises(ValueError, match="a block has from 2 to all 60 steps, not 1"):
        raise VolatilityCRPS(["1m"]).score_round(answered(walk(1), a=forecast()))["a"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VolatilityCRPS([]), "VolatilityCRPS needs the length of a block"),
        (lambda: VolatilityCRPS(["soon"]), "the length of a block 'soon' is not a duration"),
        (lambda: VolatilityCRPS(weight=0), r"VolatilityCRPS\(weight=0\): weight must be a positive number"),
        (lambda: VolatilityCRPS(paths=1), r"VolatilityCRPS\(paths=1\): at least two paths are sampled"),
        (lambda: Sum(CRPS(), CRPS(), 0), r"Sum\(factor=0\): factor must be a positive number, or a function"),
        (lambda: Sum(CRPS(), Gain()), "cannot be added: they differ in direction"),
        (lambda: Sum(CRPS(), 3), "it must be a rule, a scorer, or a function"),
    ],
)
def test_what_cannot_be_a_rule_is_refused_at_its_making(make, message):
    with pytest.raises(GameError, match=message):
        make()


def test_it_says_what_it_is():
    rule = VolatilityCRPS(["5m"], weight=2, paths=10)
    assert repr(rule) == "VolatilityCRPS([300.0], weight=2, paths=10)"
    assert (rule.higher_is_better, rule.unit, rule.strictly_proper) == (False, "usual", False)
    rule.prepare()


# Sums


class Gain:
    higher_is_better = True

    def score(self, prediction, outcome):
        return prediction.value


def first(prediction, outcome):
    return prediction.value[0]


def second(prediction, outcome):
    if prediction.value[1] is None:
        raise ValueError("it has no second")
    return prediction.value[1]


def test_the_second_score_is_brought_to_the_unit_of_the_first():
    found = Sum(first, second, 10.0).score_round(answered(0.0, a=[1.0, 2.0], b=[3.0, 4.0], c=[5.0, None]))

    assert (found["a"], found["b"]) == (21.0, 43.0)
    assert str(found["c"]) == "it has no second"


def test_the_factor_can_be_the_median_ratio_of_the_field():
    field = answered(0.0, a=[1.0, 2.0], b=[3.0, 4.0], c=[9.0, 3.0], d=[5.0, None], e=[7.0, 0.0], f=[math.inf, 1.0])

    assert MedianRatio(first, second)(field) == 0.75
    assert Sum(first, first, MedianRatio(first, second)).score_round(field)["a"] == 1.75


def test_a_factor_that_there_is_not_sets_the_round_aside():
    field = answered(0.0, a=[1.0, None])
    with pytest.raises(ValueError, match="no answer of this round has both scores"):
        Sum(first, first, MedianRatio(first, second)).score_round(field)
    with pytest.raises(ValueError, match="the factor of a sum must be a finite number, 0 or more, and is -1"):
        Sum(first, first, lambda answered: -1).score_round(field)


def test_a_sum_is_proper_if_both_are_and_no_answer_moves_the_factor():
    assert Sum(CRPS(), CRPS(), 2.0).strictly_proper
    assert not Sum(CRPS(), VolatilityCRPS(), 2.0).strictly_proper
    assert not Sum(CRPS(), CRPS(), MedianRatio(CRPS(), CRPS())).strictly_proper
    assert Sum(CRPS(), first).unit == "usual"
    assert not Sum(CRPS(), first).higher_is_better


def test_a_sum_asks_for_what_both_ask_for():
    rule = Sum(first, VolatilityCRPS())
    rule.prepare()
    with pytest.raises(ValueError, match="the answer must be lists of densities"):
        rule.check(3, {})
