"""The demo's leaderboard, computed a second time from the stored predictions and rows alone, in plain words."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

import crunch_game
from crunch_game import MemoryStore
from crunch_game.sync import run_game

pytestmark = pytest.mark.processes

DEMO = Path(__file__).parents[1] / "examples" / "daily_density"
DAYS = {"month": 30, "quarter": 91, "year": 365}


@pytest.fixture(scope="module")
def demo():
    """The demo game, played over a few hundred days by models in processes."""
    sys.path.insert(0, str(DEMO))
    from daily_density import EXAMPLES
    from daily_density.game import game

    store = MemoryStore()
    result = run_game(game, EXAMPLES, store=store, max_ticks=420)
    sys.path.remove(str(DEMO))
    return store, result


def components(density: dict) -> list[tuple[float, float, float]]:
    """Weight, mean and standard deviation of each normal in it."""
    if density["type"] == "mixture":
        parts = [(part["weight"], part["density"]["params"]) for part in density["components"]]
    else:
        parts = [(1.0, density["params"])]
    total = sum(weight for weight, _ in parts)
    return [(weight / total, params["loc"], params["scale"]) for weight, params in parts]


def crps(density: dict, outcome: float) -> float:
    """The integral over x of (F(x) - 1{x >= outcome})², in two pieces, since it jumps at the outcome."""
    parts = components(density)

    def cdf(x: float) -> float:
        return sum(weight * 0.5 * math.erfc((loc - x) / (scale * math.sqrt(2))) for weight, loc, scale in parts)

    reach = 12 * max(scale for _, _, scale in parts)
    low, high = min(loc for _, loc, _ in parts) - reach, max(loc for _, loc, _ in parts) + reach
    middles = [loc for _, loc, _ in parts]
    low, high = min(low, outcome), max(high, outcome)
    below = quad(lambda x: cdf(x) ** 2, low, outcome, points=[m for m in middles if low < m < outcome], limit=200)[0]
    above = quad(
        lambda x: (1 - cdf(x)) ** 2, outcome, high, points=[m for m in middles if outcome < m < high], limit=200
    )[0]
    return below + above


def outcome_of(prediction, rows) -> float | None:
    """The log return from the close that was known to the first close once the horizon had passed."""
    asset = prediction.arguments["asset"]
    after = next((row for row in rows if row.time >= prediction.at + timedelta(seconds=prediction.horizon)), None)
    if after is None:
        return None
    before = next(row for row in reversed(rows) if row.time <= prediction.at)
    return math.log(after.data[asset] / before.data[asset])


def usual_losses(losses: dict, ends: dict) -> dict[tuple, float]:
    """What was usually lost of each key, when each round was asked."""
    usual = {}
    for key in {key for key, _ in losses}:
        rounds = sorted((ends[each], each[1], each) for each in losses if each[0] == key)
        entries = {each: float(np.median(list(losses[each].values()))) for _, _, each in rounds}
        assert all(len(losses[each]) >= 3 for _, _, each in rounds)  # all are full
        for place, (_, at, each) in enumerate(rounds):
            past = [other for end, _, other in rounds if end <= at]
            read = past[-30:] if len(past) >= 10 else [other for *_, other in rounds[: min(place + 1, 10)]]
            usual[each] = float(np.mean([entries[other] for other in read]))
    return usual


def skills(losses: dict[str, float], usual: float) -> tuple[dict[str, float], float]:
    """How much less each lost than the median of the others, in usual losses; and what an absence comes to."""
    found = {}
    for model, loss in losses.items():
        others = [lost for other, lost in losses.items() if other != model]
        others += [usual] * (3 - len(others))
        found[model] = float(np.clip((np.median(others) - loss) / usual, -10, 10))
    everybody = [*losses.values(), *[usual] * (3 - len(losses))]
    return found, -2 * max(1.0, min(5.0, float(np.median(everybody)) / usual))


def test_the_leaderboard_is_what_the_predictions_and_the_prices_say(demo):
    store, result = demo
    rows, predictions = store.rows(), store.predictions()
    assert (len(rows), result.ticks, result.rounds) == (420, 420, 420 * 3)
    assert len(predictions) == result.predictions == 420 * 3 * 5

    # What each answer lost.
    losses: dict[tuple, dict[str, float]] = defaultdict(dict)
    ends: dict[tuple, Any] = {}
    cache: dict[tuple, float] = {}
    outcomes: dict[tuple, float | None] = {}
    for prediction in predictions:
        each = prediction.key, prediction.at
        if each not in outcomes:
            outcomes[each] = outcome_of(prediction, rows)
        outcome = outcomes[each]
        if outcome is None or prediction.value is None:
            continue
        [density] = prediction.value
        known = (str(density), outcome)
        if known not in cache:
            cache[known] = crps(density, outcome)
        losses[each][prediction.model_id] = cache[known]
        ends[each] = prediction.resolves_at

    # A model's skill: the mean over the rounds of the window, or with its absences, if that is less.
    usual = usual_losses(losses, ends)
    models = {prediction.model_id for prediction in predictions}
    first = {model: min(at for (_, at), lost in losses.items() if model in lost) for model in models}
    end = rows[-1].time
    board = {standing.model_id: standing for standing in result.leaderboard}
    assert set(board) == models == {"constant_normal", "ewma_volatility", "empirical_mixture", "momentum", "moody"}
    for window, days in DAYS.items():
        inside = [each for each in losses if end - timedelta(days=days) < ends[each] <= end]
        found = {each: skills(losses[each], usual[each]) for each in inside}
        for model in models:
            own = [found[each][0][model] for each in inside if model in losses[each]]
            gone = [found[each][1] for each in inside if model not in losses[each] and each[1] >= first[model]]
            standing = board[model]
            assert standing.skills[window] == pytest.approx(min(np.mean(own), np.mean(own + gone)), rel=1e-6)
            mean = np.mean([losses[each][model] for each in inside if model in losses[each]])
            assert standing.scores[window] == pytest.approx(mean, rel=1e-6)
            if window == "year":
                assert standing.skill == standing.skills["year"]
                assert (standing.rounds, standing.scored) == (len(own) + len(gone), len(own))
                assert standing.coverage == len(own) / (len(own) + len(gone))

    order = sorted(models, key=lambda model: -board[model].skill)
    assert [standing.model_id for standing in result.leaderboard] == order
    assert [standing.rank for standing in result.leaderboard] == [1, 2, 3, 4, 5]
    assert order[-1] == "moody"
    assert 0.9 < board["moody"].coverage < 1.0
    assert {board[model].coverage for model in order[:-1]} == {1.0}


def test_every_score_is_the_crps_by_quadrature(demo):
    store, _ = demo
    rows = store.rows()
    predictions = {(p.model_id, p.key, p.at): p for p in store.predictions()}
    for score in store.scores()[:: len(store.scores()) // 200]:
        prediction = predictions[score.model_id, score.key, score.at]
        assert score.outcome == pytest.approx(outcome_of(prediction, rows), rel=1e-12)
        assert score.value == pytest.approx(crps(prediction.value[0], score.outcome), rel=1e-6)


def test_what_has_not_resolved_has_no_score(demo):
    store, _ = demo
    last = store.rows()[-1].time
    assert {(s.model_id, s.key, s.at) for s in store.scores()} == {
        (p.model_id, p.key, p.at)
        for p in store.predictions()
        if p.status is crunch_game.Status.OK and p.resolves_at <= last
    }
