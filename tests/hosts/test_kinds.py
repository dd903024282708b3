"""Models of the kinds that people really write: the same scores inline as in a process, bit for bit, beside a rival."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from crunch_game import CRPS, Game, Policy, Predict, ReplayFeed, Status, backtest
from crunch_game.datasets import daily_prices
from crunch_game.resolving import Return
from daily_density import ASSETS, TrackerBase

KINDS = Path(__file__).parent / "kinds"
NEEDS = {
    "numpys": "numpy",
    "of_luck": "random",
    "statsmodelss": "statsmodels",
    "arches": "arch",
    "scikits": "sklearn",
    "lightgbms": "lightgbm",
    "torches": "torch",
}
OPTIONAL = ("arches", "torches")
"""Too large to be installed for every run of the tests."""
TICKS = 8
GAME = Game(
    name="kinds",
    tracker=TrackerBase,
    predictions=[Predict(every="1d", horizon="1d", asset=asset, step="1d") for asset in ASSETS],
    resolve=Return(of="asset", max_age="7d"),
    score=CRPS(steps=1),
    feed=ReplayFeed(daily_prices()),
    policy=Policy(timeout=60),  # a machine may be busy, and who is late has no score
)


@pytest.mark.processes
@pytest.mark.parametrize("kind", NEEDS)
def test_a_models_scores_are_the_same_inline_as_in_a_process(kind):
    if kind in OPTIONAL and find_spec(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    models = [KINDS / f"{kind}.py", KINDS / "rival.py"]
    inline, apart = (backtest(GAME, models, host=host, max_ticks=TICKS) for host in ("inline", "process"))
    predictions = inline.stored_predictions()
    assert {each.status for each in predictions} == {Status.OK}, inline
    told = [repr(each.value) for each in predictions if each.model_id == kind]
    assert len(set(told)) > TICKS
    assert told == [repr(each.value) for each in apart.stored_predictions() if each.model_id == kind]
    assert inline.scores == apart.scores
