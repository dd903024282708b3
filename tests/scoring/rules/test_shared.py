"""What the rules share: steps, many answers at once, and sentences for what cannot be scored; and the laws of two."""

from __future__ import annotations

import itertools
import json
import math
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from crunch_game.errors import MissingExtra
from crunch_game.scoring import (
    CRPS,
    AnsweredRound,
    BatchScorer,
    Density,
    LogScore,
    Scorer,
    as_normal_mixture,
    density,
    mixture,
    normal,
)
from crunch_game.storage.base import Prediction

T0 = datetime(2024, 1, 1, tzinfo=UTC)
crps, log_score = CRPS(), LogScore()
RULES = [crps, log_score]
WITHOUT = {"type": "scipy", "name": "cauchy", "params": {}}

locs = st.floats(-10, 10)
scales = st.floats(0.05, 10)
normals = st.builds(normal, locs, scales)
mixtures = st.lists(st.tuples(st.floats(0.05, 5), normals), min_size=1, max_size=4).map(mixture)
densities = normals | mixtures
outcomes = st.floats(-20, 20)


def answer(value: Any) -> Prediction:
    return Prediction("ada", "d1", "BTC", T0, T0 + timedelta(hours=1), 3600.0, value=value)


def cdf(density: Density, x: float) -> float:
    return float(sum(w * norm.cdf(x, m, s) for w, m, s in zip(*as_normal_mixture(density), strict=True)))


def pdf(density: Density, x: Any) -> Any:
    return sum(w * norm.pdf(x, m, s) for w, m, s in zip(*as_normal_mixture(density), strict=True))


def reach(density: Density) -> tuple[float, float]:
    """Where the density lives."""
    _, means, deviations = as_normal_mixture(density)
    wide = 10 * max(deviations)
    return min(means) - wide, max(means) + wide


def integral(function: Any, low: float, high: float, points: list[float]) -> float:
    edges = [low, *sorted(point for point in points if low < point < high), high]
    pieces = itertools.pairwise(edges)
    return math.fsum(quad(function, a, b, limit=200, epsabs=1e-9)[0] for a, b in pieces if b > a)


def near(density: Density) -> list[float]:
    """Points between which the density is smooth enough for quadrature."""
    _, means, deviations = as_normal_mixture(density)
    return [m + k * s for m, s in zip(means, deviations, strict=True) for k in (-5, -2, 0, 2, 5)]


@settings(max_examples=settings().max_examples * 2 // 5)
@given(densities, outcomes)
def test_crps_is_the_integral_of_its_definition(density: Density, y: float) -> None:
    low, high = reach(density)
    low, high = min(low, y), max(high, y)
    expected = integral(lambda x: cdf(density, x) ** 2, low, y, near(density))
    expected += integral(lambda x: (1 - cdf(density, x)) ** 2, y, high, near(density))
    assert crps.score(answer(density), y) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@settings(deadline=None)
@given(densities, outcomes)
def test_log_score_is_minus_the_log_of_the_density(density: Density, y: float) -> None:
    likelihood = pdf(density, y)
    if likelihood > 1e-300:
        assert log_score.score(answer(density), y) == pytest.approx(-math.log(likelihood), rel=1e-9, abs=1e-9)
        weights, means, deviations = as_normal_mixture(density)
        theirs = float(scoringrules.logs_mixnorm(y, means, deviations, weights))
        assert log_score.score(answer(density), y) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_an_outcome_far_in_the_tail_has_a_finite_log_score() -> None:
    expected = 0.5 * 1000.0**2 + 0.5 * math.log(2 * math.pi)
    assert log_score.score(answer(normal(0, 1)), 1000.0) == pytest.approx(expected)
    assert log_score.score(answer(mixture([(1, normal(0, 1)), (1, normal(0, 0.5))])), 1000.0) == pytest.approx(
        expected + math.log(2)
    )


@settings(max_examples=settings().max_examples // 4)
@given(normals, densities)
def test_the_rules_are_proper(truth: Density, other: Density) -> None:
    """On average over outcomes of the truth nothing beats telling it."""
    low, high = reach(truth)
    points = np.linspace(low, high, 2001)
    likelihood = pdf(truth, points)
    for rule in RULES:
        honest = rule.score_many([answer(truth)] * len(points), points.tolist())
        other_scores = rule.score_many([answer(other)] * len(points), points.tolist())
        assert np.trapezoid(likelihood * honest, points) <= np.trapezoid(likelihood * other_scores, points) + 1e-6


def moved(density: Density, shift: float, factor: float) -> Density:
    weights, means, deviations = as_normal_mixture(density)
    return mixture(
        [(w, normal(factor * m + shift, factor * s)) for w, m, s in zip(weights, means, deviations, strict=True)]
    )


@given(densities, outcomes, st.floats(-100, 100))
def test_translation_changes_nothing(density: Density, y: float, shift: float) -> None:
    for rule in RULES:
        expected = rule.score(answer(density), y)
        found = rule.score(answer(moved(density, shift, 1.0)), y + shift)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(densities, outcomes, st.floats(0.01, 100))
def test_crps_has_the_unit_of_the_outcome_and_the_log_score_shifts_by_its_log(
    density: Density, y: float, factor: float
) -> None:
    scaled = answer(moved(density, 0.0, factor))
    assert crps.score(scaled, factor * y) == pytest.approx(
        factor * crps.score(answer(density), y), rel=1e-6, abs=1e-9 * factor
    )
    assert log_score.score(scaled, factor * y) == pytest.approx(
        log_score.score(answer(density), y) + math.log(factor), rel=1e-6, abs=1e-6
    )


@given(st.lists(st.tuples(densities, outcomes), min_size=1, max_size=5))
def test_a_list_scores_the_mean_of_its_steps(steps: list[tuple[Density, float]]) -> None:
    for rule in RULES:
        single = [rule.score(answer(density), y) for density, y in steps]
        several = rule.score(answer([density for density, _ in steps]), [y for _, y in steps])
        assert several == pytest.approx(math.fsum(single) / len(single), rel=1e-12, abs=1e-12)


def test_one_step_may_be_a_number_or_a_list() -> None:
    for rule in RULES:
        scores = {
            rule.score(answer(value), outcome)
            for value in (normal(0, 1), [normal(0, 1)], (normal(0, 1),))
            for outcome in (1, 1.0, [1.0], (1,), np.float64(1), np.float32(1), np.int64(1), np.array([1.0]))
        }
        assert len(scores) == 1


@given(st.lists(st.tuples(densities, outcomes), min_size=1, max_size=30))
def test_many_at_once_score_exactly_as_one_by_one(cases: list[tuple[Density, float]]) -> None:
    predictions, ys = [answer(density) for density, _ in cases], [y for _, y in cases]
    for rule in RULES:
        assert rule.score_many(predictions, ys) == [rule.score(p, y) for p, y in zip(predictions, ys, strict=True)]


def test_a_large_batch_is_cut_up_and_scores_the_same() -> None:
    wide = answer(mixture([(1, normal(n / 10, 1 + n / 10)) for n in range(100)]))
    for rule in RULES:
        assert set(rule.score_many([wide] * 250, [0.5] * 250)) == {rule.score(wide, 0.5)}


def test_what_cannot_be_scored_spoils_no_neighbour() -> None:
    good, bad = answer(normal(0, 1)), answer(WITHOUT)
    for rule in RULES:
        first, error, last = rule.score_many([good, bad, good], [0.5, 0.5, 0.5])
        assert first == last == rule.score(good, 0.5)
        assert isinstance(error, ValueError)
        assert rule.score_many([], []) == []


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("value", "outcome", "message"),
    [
        (None, 1.0, "there is no answer"),
        ([], [], "the answer must be a density or a list of densities, not []"),
        ("N", 1.0, "the answer must be a density or a list of densities, not 'N'"),
        (["N"], 1.0, "a dict with the key \"type\" belongs here, not 'N'"),
        ([normal(0, 1)] * 2, 1.0, "the answer has 2 steps where the outcome has 1"),
        (normal(0, 1), [1.0, 2.0], "the answer has 1 step where the outcome has 2"),
        (normal(0, 1), None, "the outcome must be a finite number, or a list of them, not None"),
        (normal(0, 1), math.nan, "the outcome must be a finite number, or a list of them, not nan"),
        (normal(0, 1), [10**400], "the outcome must be a finite number, or a list of them, not [1000000"),
        (normal(0, 1), True, "the outcome must be a finite number, or a list of them, not True"),
        (normal(0, 1), "1", "the outcome must be a finite number, or a list of them, not '1'"),
    ],
)
def test_what_cannot_be_scored_is_a_sentence(rule: Scorer, value: Any, outcome: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        rule.score(answer(value), outcome)
    assert str(caught.value).startswith(message)


def test_a_score_that_is_not_finite_is_a_sentence() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        log_score.score(answer(density("uniform")), 2.0)
    assert str(caught.value) == (
        "the score is not finite: the outcome is too far from the forecast, or the forecast too narrow"
    )


def test_the_rules_are_losses_and_batch_scorers() -> None:
    scorers: list[Scorer] = [CRPS(), LogScore()]
    for scorer in scorers:
        assert scorer.higher_is_better is False
        assert isinstance(scorer, BatchScorer)


@pytest.mark.parametrize("rule", RULES)
def test_a_missing_library_is_named(rule: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtra) as caught:
        rule.score(answer(normal(0, 1)), 0.0)
    assert str(caught.value) == "scipy is not installed; from a clone of crunch_game: pip install '.[scoring]'"


# Rounds, steps, stored text


def played(answers: dict[str, Any], outcome: Any, **more: Any) -> AnsweredRound:
    predictions = {model: replace(answer(value), model_id=model) for model, value in answers.items()}
    return AnsweredRound("BTC", T0, T0 + timedelta(hours=1), 3600.0, {}, outcome, predictions, **more)


@pytest.mark.parametrize("rule", RULES)
def test_a_round_is_scored_as_its_answers_are(rule: CRPS | LogScore) -> None:
    answers = {"ada": normal(0, 1), "bob": WITHOUT, "eve": mixture([(1, normal(0, 1)), (1, normal(2, 1))])}
    found = rule.score_round(played(answers, 0.5))
    assert list(found) == ["ada", "bob", "eve"]
    assert isinstance(found["bob"], ValueError)
    assert (found["ada"], found["eve"]) == (
        rule.score(answer(answers["ada"]), 0.5),
        rule.score(answer(answers["eve"]), 0.5),
    )
    assert rule.score_round(played({}, 0.5)) == {}


def test_where_outcomes_differ_each_answer_has_its_own() -> None:
    found = crps.score_round(played({"ada": 1.0, "bob": 1.0}, None, outcomes={"ada": 1.5, "bob": 4}))
    assert found == {"ada": 0.5, "bob": 3.0}


def test_steps_are_counted_on_arrival() -> None:
    rule = CRPS(steps=lambda arguments: arguments["horizon"] // arguments["step"])
    rule.check([normal(0, 1)] * 12, {"horizon": 3600, "step": 300})
    with pytest.raises(ValueError, match=r"^the answer must have 12 steps, got 1$"):
        rule.check([normal(0, 1)], {"horizon": 3600, "step": 300})
    with pytest.raises(ValueError, match=r"^the answer must have 2 steps, got 3$"):
        CRPS(steps=2).check([normal(0, 1)] * 3, {})
    CRPS().check([normal(0, 1)] * 3, {})


def test_a_wrong_shape_costs_the_one_who_answered_it() -> None:
    found = crps.score_round(played({"ada": [normal(0, 1)] * 2, "bob": [normal(0, 1)]}, [1.0, 2.0]))
    assert found["ada"] == crps.score(answer([normal(0, 1)] * 2), [1.0, 2.0])
    assert str(found["bob"]) == "the answer has 1 step where the outcome has 2"


def test_a_score_may_be_the_sum_over_steps() -> None:
    steps = [normal(0, 1), normal(0, 2), normal(0, 4)]
    assert CRPS(over="sum").score(answer(steps), [1, 2, 3]) == pytest.approx(3 * crps.score(answer(steps), [1, 2, 3]))
    with pytest.raises(ValueError, match=r'^over is "mean" or "sum", not \'max\'$'):
        CRPS(over="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^an answer has at least 1 step, not 0$"):
        CRPS(steps=0)


stored = st.one_of(densities, st.lists(densities, min_size=1, max_size=3), st.just(WITHOUT), st.just(None))


@given(st.lists(stored, max_size=20))
def test_stored_text_scores_to_the_last_bit_as_the_answers_in_it(answers: list[Any]) -> None:
    texts: list[str | bytes] = [json.dumps(each) for each in answers]
    ys = [[0.5] * len(each) if isinstance(each, list) else 0.5 for each in answers]
    for rule in RULES:
        expected = rule.score_many([answer(each) for each in answers], ys)
        assert list(map(str, rule.score_json(texts, ys))) == list(map(str, expected))


@pytest.mark.parametrize(
    "value",
    [
        normal(0, 1, step=300),
        mixture([(1, normal(0, 1)), (2, normal(1, 3))], step=300),
        {"type": "scipy", "name": "norm", "params": {}},
        {"type": "scipy", "name": "norm", "params": {"loc": 1, "scale": 2}},
        {"type": "builtin", "name": "norm", "params": {"loc": 1, "scale": 2}},
        density("t", df=3.0),
        mixture([(1, normal(0, 1)), (1, mixture([(1, normal(0, 2)), (0, normal(1, 2))]))]),
        {"type": "builtin", "name": "norm", "params": {"loc": 1, "scale": -2.5}},
        {"type": "builtin", "name": "norm", "params": {"loc": 1, "scale": 2, "df": 3}},
        {"type": "builtin", "name": "norm", "params": {"loc": math.nan, "scale": 2}},
        {"type": "builtin", "name": "norm", "params": {"loc": "1", "scale": 2}},
        {"type": "mixture", "components": []},
        {"type": "mixture", "components": [{"density": normal(0, 1), "weight": 0}]},
        [],
    ],
)
def test_every_form_that_is_stored_is_read_as_it_is_elsewhere(value: Any) -> None:
    """Among plain ones, and alone."""
    for answers in ([value], [normal(0, 1), value, [normal(2, 1)]]):
        expected = crps.score_many([answer(each) for each in answers], [0.5] * len(answers))
        found = crps.score_json([json.dumps(each) for each in answers], [0.5] * len(answers))
        assert list(map(str, found)) == list(map(str, expected))


def test_text_that_is_no_json_spoils_no_neighbour() -> None:
    good = json.dumps(normal(0, 1))
    texts: list[str | bytes] = [good, "[1", "2]", b"\xff", good]
    first, one, two, three, last = crps.score_json(texts, [0.5] * 5)
    assert first == last == crps.score(answer(normal(0, 1)), 0.5)
    assert {type(each) for each in (one, two, three)} == {ValueError}
    assert str(one).startswith("the stored answer is not JSON: ")
    with pytest.raises(ValueError, match=r"^there are 1 answers, but 2 outcomes$"):
        crps.score_json([good], [0.5, 0.5])


def test_two_texts_that_are_one_answer_together_are_none() -> None:
    good = json.dumps(normal(0, 1))
    found = crps.score_json([f"[{good}", f"{good}]", good], [0.5] * 3)
    assert [type(each) for each in found] == [ValueError, ValueError, float]
