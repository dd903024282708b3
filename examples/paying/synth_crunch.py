"""Synth on Crunch, as crunch-synth 0.15.0 scores it: densities of price changes, for the next hour and the next day.

    crunch-game run synth_crunch.py --models models --replay minutes.csv --store sqlite:///synth.db

A row of the file has the prices of a minute, in the columns time, BTC, ETH, SOL, XRP and HYPE.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

import crunch_game
from crunch_game import CRPS, Board, Game, History, Never, Predict, Prediction
from crunch_game.resolving import Path
from crunch_game.scoring import (
    Absent,
    AnsweredRound,
    BestOneWorstZero,
    Density,
    InField,
    MedianRatio,
    Sum,
    VolatilityCRPS,
    lift,
    sample_paths,
)

HOUR, DAY = [60, 300, 900, 1800, 3600], [300, 3600, 21600, 86400]
LARGEST = {
    "BTC": 1500,
    "ETH": 80,
    "SOL": 4,
    "XRP": 0.04,
    "HYPE": 1.3,
}  # moves in 5 minutes; they make assets comparable
WEIGHTS = {"BTC": 1.0, "ETH": 0.7064366, "SOL": 0.6310038, "XRP": 0.5658394, "HYPE": 0.4784547}


class TrackerBase(crunch_game.TrackerBase):
    def tick(self, data: dict[str, float]) -> None:
        """The newest prices."""

    def predict(self, asset: str, horizon: int, step: int) -> list[Density]:
        """The density of the price's change from step to step, up to the horizon."""

    def predict_all(self, asset: str, horizon: int, steps: list[int]) -> dict[int, list[Density]]:
        return {step: self.predict(asset, horizon, step) for step in steps}


def prices(prediction: Prediction, history: History) -> list[float] | Never | None:
    """The prices at the slot and at the end of each of the finest steps. Where one is missing, there is no outcome."""
    step = timedelta(seconds=min(prediction.arguments["steps"]))
    return Path(step=step, kind="price")(replace(prediction, at=prediction.at - step), history)


total = CRPS(over="sum")


def price(prediction: Prediction, outcome: list[float]) -> float:
    """The CRPS, summed over all steps of all lengths, in large moves."""
    finest = min(prediction.arguments["steps"])
    changes = [b - a for step in prediction.value for a, b in pairwise(outcome[:: int(step) // finest])]
    densities = [each for densities in prediction.value.values() for each in densities]
    return total.score(replace(prediction, value=densities), changes) / LARGEST[prediction.arguments["asset"]]


def basis_points(prediction: Prediction, outcome: list[float]) -> float:
    """What Synth itself scores: the CRPS of 1,000 paths, of their changes over many times, in basis points."""
    answer = {int(step): densities for step, densities in prediction.value.items()}
    paths = np.vstack([outcome, sample_paths(answer, outcome[0], 1000, f"{prediction.key} {prediction.at}")])
    marks = [paths[:, ::minutes] for minutes in (1, 2, 5, 15, 30)] + [paths[:, [0, end]] for end in range(5, 61, 5)]
    changes = np.hstack([np.diff(each) / each[:, :-1] for each in marks] + [paths[:, -1:] / outcome[-1]]) * 10_000
    return total.score(replace(prediction, value=changes[1:].T.tolist()), changes[0].tolist())


class Raw:
    """By the horizon: of an hour, price + k * volatility, where k is the median over the round's participants."""

    higher_is_better, unit = False, "usual"
    day = lift(price)
    hour = Sum(price, VolatilityCRPS(["1h", "15m", "5m"], weight=5.25, paths=1000), MedianRatio(price, basis_points))

    def score_round(self, answered: AnsweredRound) -> Mapping[str, float | Exception]:
        return (self.hour if answered.horizon == 3600 else self.day).score_round(answered)


# The best of the round has 1, the worst 5 % have 0; who is absent has what the worst has.
score = InField(Raw(), Absent(percentile=100), BestOneWorstZero(worst=0.05))


def board(name: str, horizon: int) -> Board:
    return Board(
        name,
        of=lambda r: r.horizon == horizon,
        weight=lambda r: WEIGHTS[r.arguments["asset"]],
        by="mean",
        windows={"24h": "24h", "3d": "3d", "7d": "7d"},
    )


game = Game(
    "synth",
    TrackerBase,
    [Predict(every="12m", horizon="1h", method="predict_all", asset=asset, steps=HOUR) for asset in WEIGHTS]
    + [Predict(every="1h", horizon="24h", method="predict_all", asset=asset, steps=DAY) for asset in WEIGHTS],
    prices,
    score,
    boards=[board("1h", 3600), board("24h", 86400)],
)
