"""A game of a random walk, and models with a memory, so that a row told twice or never shows in what they answer."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from crunch_game import Game, History, Policy, Predict, Prediction, ReplayFeed, Row

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Walk:
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: float) -> float: ...


class Mean(Walk):
    """The mean of every price that it was ever told."""

    def __init__(self):
        self.heard = []

    def tick(self, prices):
        self.heard.append(prices["BTC"])

    def predict(self, asset, horizon):
        return sum(self.heard) / len(self.heard)


class Last(Mean):
    def predict(self, asset, horizon):
        return self.heard[-1] + len(self.heard) / 1000


class Moody(Mean):
    def predict(self, asset, horizon):
        if len(self.heard) % 5 == 0:
            raise RuntimeError(f"not in the mood after {len(self.heard)} rows")
        return self.heard[-1]


MODELS = ["walk:Mean", "walk:Last", "walk:Moody"]


def rows(count: int = 40, seed: int = 1) -> list[Row]:
    """One row an hour, with holes."""
    chance, price, hour, found = random.Random(seed), 100.0, 0, []
    for _ in range(count):
        price += chance.gauss(0, 1)
        hour += chance.choice([1, 1, 1, 2])
        found.append(Row(T0 + hour * HOUR, {"BTC": price, "ETH": price / 10}))
    return found


def truth(prediction: Prediction, history: History) -> float | None:
    row = history.first_from(prediction.resolves_at)
    return None if row is None else row.prices[prediction.arguments["asset"]]


def loss(prediction: Prediction, outcome: Any) -> float:
    return abs(prediction.value - outcome)


def game(**options: Any) -> Game:
    given: dict[str, Any] = {
        "name": "walk",
        "tracker": Walk,
        "predictions": [
            Predict(every="1h", horizon="2h", asset="BTC"),
            Predict(every="3h", horizon="6h", asset="ETH"),
        ],
        "resolve": truth,
        "score": loss,
        "feed": ReplayFeed(rows()),
        "policy": Policy(timeout=10, max_consecutive_failures=0),
        "windows": {"short": "5h", "long": "20h"},
    }
    return Game(**given | options)


def main(url: str) -> None:
    """Play the game to its end, in this process and those of its models, and say so for each row stored."""
    from crunch_game import open_store
    from crunch_game.sync import run_game
    from crunch_game.workers import PredictWorker

    def on_start(worker: PredictWorker) -> None:
        kept = worker._after_row

        async def after_row(now: datetime) -> None:
            print(f"stored {now}", flush=True)
            await kept(now)

        worker._after_row = after_row

    with open_store(url) as store:
        run_game(game(), MODELS, store=store, on_start=on_start)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
