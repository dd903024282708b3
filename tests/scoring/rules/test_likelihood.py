"""Likelihood: birdgame's own figures, and why its properness is said to be none."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from crunch_game.scoring import Likelihood, LogScore, density, mixture, normal
from crunch_game.storage import Prediction

sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.peer.install import Unavailable, install, python_of

AT = datetime(2026, 10, 1, tzinfo=UTC)
FORECASTS = [
    normal(1.0, 0.3),
    mixture([(3, normal(0.0, 1.0)), (1, mixture([(1, normal(-2.0, 0.1)), (2, density("t", df=3))]))]),
    density("laplace", loc=1, scale=2),
    density("gamma", a=2, loc=-1),
]


def answer(value):
    return Prediction("ada", "1", "dove", AT, AT + timedelta(seconds=3), 3.0, value=value)


@given(st.sampled_from(FORECASTS), st.floats(-50, 50))
def test_its_logarithm_is_the_log_score(forecast, outcome):
    [log_score] = LogScore().score_many([answer(forecast)], [outcome])
    likelihood = Likelihood().score(answer(forecast), outcome)

    if isinstance(log_score, ValueError):  # the density is 0
        assert likelihood == 0.0
    else:
        assert likelihood == pytest.approx(math.exp(-log_score), rel=1e-12)


def test_of_steps_it_is_the_mean_or_the_sum():
    forecasts, outcomes = answer([normal(0, 1), normal(0, 2)]), [0.5, 3.0]
    each = [stats.norm.pdf(0.5), stats.norm.pdf(3.0, scale=2)]

    assert Likelihood().score(forecasts, outcomes) == pytest.approx(sum(each) / 2)
    assert Likelihood(over="sum").score(forecasts, outcomes) == pytest.approx(sum(each))


def test_it_pays_for_more_certainty_than_there_is_and_says_so():
    """The truth is a standard normal. The log score is best by telling that; the likelihood by being narrower."""

    def expected(rule, scale):
        def at(outcome):
            return rule.score(answer(normal(0, scale)), outcome) * stats.norm.pdf(outcome)

        return quad(at, -8, 8, points=[0], limit=200)[0]

    assert expected(LogScore(), 1.0) < expected(LogScore(), 0.1)
    assert expected(Likelihood(), 1.0) == pytest.approx(stats.norm.pdf(0, scale=math.sqrt(2)))
    assert expected(Likelihood(), 0.1) > 1.4 * expected(Likelihood(), 1.0)
    assert LogScore.strictly_proper
    assert not Likelihood.strictly_proper


def test_a_spike_is_refused_on_arrival_and_has_no_score():
    rule = Likelihood(least_scale=0.01)
    with pytest.raises(ValueError, match=r"scale must be at least 0\.01 in this game, got 1e-170"):
        rule.check(normal(0, 1e-170), {})
    with pytest.raises(ValueError, match=r"scale must be at least 0\.01 in this game, got 1e-170"):
        rule.score(answer(normal(0, 1e-170)), 0.0)
    assert rule.higher_is_better
    assert rule.unit == "usual"


BIRDS = """
import json, sys
from birdgame.trackers.tracker_evaluator import TrackerEvaluator
class Tracker:
    horizon = 3
    def tick(self, payload, metrics): pass
    def predict(self): return self.forecast
tracker, found = Tracker(), []
evaluator = TrackerEvaluator(tracker)
for forecast, outcome in json.load(sys.stdin):
    tracker.forecast = forecast
    evaluator = TrackerEvaluator(tracker)
    evaluator.tick_and_predict({"time": 0, "dove_location": 0.0})
    evaluator.tick_and_predict({"time": 3, "dove_location": outcome})
    found.append(float(evaluator.last_score))
print(json.dumps(found))
"""


@pytest.mark.processes
def test_it_is_what_birdgame_scores():
    try:
        install("birdgame")
    except Unavailable as error:
        pytest.skip(str(error))
    site = next((python_of("birdgame").parents[1] / "lib").glob("python3.*/site-packages"))
    pairs = [(forecast, outcome) for forecast in FORECASTS for outcome in (-3.0, 0.0, 0.7, 5.0)]
    done = subprocess.run(
        [sys.executable, "-c", BIRDS],
        input=json.dumps(pairs),
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )

    found = [Likelihood().score(answer(forecast), outcome) for forecast, outcome in pairs]

    assert found == pytest.approx(json.loads(done.stdout), rel=1e-9)
