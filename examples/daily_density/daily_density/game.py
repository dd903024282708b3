"""The game itself: what is asked, what the truth is, how answers are scored."""

from __future__ import annotations

from crunch_game import CRPS, Game, Policy, Predict, ReplayFeed
from crunch_game.datasets import daily_prices
from crunch_game.resolving import Return
from daily_density import ASSETS, TrackerBase

game = Game(
    name="daily-density",
    tracker=TrackerBase,
    predictions=[Predict(every="1d", horizon="1d", asset=asset, step="1d") for asset in ASSETS],
    resolve=Return(of="asset", max_age="7d"),  # exchanges are closed at weekends; once, in 2001, for a week
    score=CRPS(steps=lambda asked: asked["horizon"] // asked["step"]),  # a density for each step
    feed=ReplayFeed(daily_prices()),
    policy=Policy(timeout=1.0),
    windows={"month": "30d", "quarter": "91d", "year": "365d"},
    rank_by="year",
)
