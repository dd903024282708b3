"""A game that is fed by an endpoint of prices, and a model that answers with all that it was ever told."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from crunch_game import Game, History, Policy, PollingFeed, Predict, Prediction, Row, open_store
from crunch_game.feeds import Backoff
from crunch_game.sync import run_game


class Ticking:
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: int) -> float: ...


class Memory(Ticking):
    def __init__(self):
        self.heard = 0.0

    def tick(self, prices):
        self.heard = (self.heard * 0.75 + prices["BTC"]) % 1000.0

    def predict(self, asset, horizon):
        return self.heard


def truth(prediction: Prediction, history: History) -> float | None:
    row = history.first_from(prediction.resolves_at)
    return None if row is None else row.prices["BTC"]


def parse(document: Any) -> list[Row]:
    return [Row(datetime.fromtimestamp(time, UTC), {"BTC": price}) for time, price in document]


def game(feed: Any) -> Game:
    return Game(
        "ticking",
        Ticking,
        [Predict(every=2, horizon=3, asset="BTC"), Predict(every="row", horizon=2, asset="ETH")],
        truth,
        lambda prediction, outcome: abs(prediction.value - outcome),
        feed=feed,
        wait=0.3,
        policy=Policy(timeout=1.9, max_consecutive_failures=0, max_consecutive_timeouts=0),
    )


def endpoint(url: str) -> PollingFeed:
    return PollingFeed(url, parse=parse, every=0.1, timeout=1.0, backoff=Backoff(0.1, 0.2))


if __name__ == "__main__":
    with open_store(sys.argv[2]) as store:
        run_game(game(endpoint(sys.argv[1])), ["ticking:Memory"], store=store)
