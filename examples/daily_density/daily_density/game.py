"""The game itself: what is asked, what the truth is, how answers are scored."""

from __future__ import annotations

from math import log

from crunch_game import CRPS, Game, History, Policy, Predict, Prediction, ReplayFeed
from crunch_game.datasets import daily_prices
from daily_density import ASSETS, TrackerBase


def realized_return(prediction: Prediction, history: History) -> float | None:
    """The log return from the prediction to the first close at or after its horizon; None before that close."""
    asset = prediction.arguments["asset"]
    start, end = history.at(prediction.at), history.first_from(prediction.resolves_at)
    if start is None or end is None:
        return None
    return log(end.prices[asset] / start.prices[asset])


game = Game(
    name="daily-density",
    tracker=TrackerBase,
    predictions=[Predict(every="1d", horizon="1d", asset=asset, step="1d") for asset in ASSETS],
    resolve=realized_return,
    score=CRPS(),
    feed=ReplayFeed(daily_prices()),
    policy=Policy(timeout=1.0),
    windows={"month": "30d", "quarter": "91d", "year": "365d"},
    rank_by="year",
)
