"""Run where crunch-synth can be imported: its own evaluator scores its own example tracker, and two others, as JSON.

python synth_match.py PRICES.json: {"asset": ..., "horizon": ..., "steps": [...], "prices": [[time, price], ...],
"rounds": [time, ...]}. A round's answers are given with the prices up to its time, and scored with the whole.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from crunch_synth import TrackerBase, TrackerEvaluator, score_volatility
from crunch_synth.constants import CRPS_BOUNDS
from crunch_synth.examples.exampletracker import GaussianStepTracker
from crunch_synth.synth_score import SCORING_INTERVALS, calculate_crps_for_miner
from crunch_synth.tracker_evaluator import crps_integral
from crunch_synth.volatility import calculate_vol_crps_for_miner, realized_price_path, simulate_price_paths

SEEDS = 24
"""As often are paths sampled to see by how much chance moves a score."""


class TwoPaced(GaussianStepTracker):
    """Quiet for the most part, now and then lively; another scale for each step length, so that lengths disagree."""

    def predict(self, asset: str, horizon: int, step: int) -> list[dict]:
        densities = super().predict(asset, horizon, step)
        for number, density in enumerate(densities):
            [normal] = density["components"]
            loc, scale = normal["density"]["params"].values()
            density["components"] = [
                {
                    "density": {
                        "type": "builtin",
                        "name": "norm",
                        "params": {"loc": loc + shift, "scale": scale * wide},
                    },
                    "weight": weight,
                }
                for weight, shift, wide in ((0.7, 0.0, 0.6), (0.2, 0.2 * scale, 1.1 + number % 3), (0.1, 0.0, 2.5))
            ]
        return densities


class TooBold(GaussianStepTracker):
    """A fifth of the scale that it should have."""

    def predict(self, asset: str, horizon: int, step: int) -> list[dict]:
        densities = super().predict(asset, horizon, step)
        for density in densities:
            density["components"][0]["density"]["params"]["scale"] *= 0.2
        return densities


def played(tracker: TrackerBase, game: dict, at: int) -> dict:
    """One round of one tracker."""
    asset, horizon, steps = game["asset"], game["horizon"], game["steps"]
    known = [tuple(each) for each in game["prices"] if each[0] <= at]
    evaluator = TrackerEvaluator(tracker)
    evaluator.tick({asset: known})
    answer = tracker.predict_all(asset, horizon, steps)
    evaluator.enqueue_predictions(asset, horizon, steps)
    evaluator.tick({asset: [tuple(each) for each in game["prices"] if at < each[0] <= at + horizon]})
    [entry] = evaluator.evaluate_quarantine(asset)
    finest = min(steps)
    found = {
        "model": type(tracker).__name__,
        "at": at,
        "answer": answer,
        "prices": [price for time, price in game["prices"] if at <= time <= at + horizon and not (time - at) % finest],
        "score": evaluator.overall_score_asset(asset),
        "volatility": evaluator.vol_score_asset(asset),
        "price_on_a_finer_grid": finer(entry, evaluator, asset),
    }
    volatility = score_volatility(asset, entry, tracker.prices)
    if volatility is not None:
        real = realized_price_path(tracker.prices, asset, at + horizon, horizon, finest)
        many = [simulate_price_paths(entry[1], real[0], seed) for seed in range(SEEDS)]
        intervals = SCORING_INTERVALS[60]
        found["paths"] = volatility["simulated_paths"][:100].tolist()
        found["of_paths"] = calculate_vol_crps_for_miner(np.array(found["paths"]), real, finest)[0]
        found["by_chance"] = [calculate_vol_crps_for_miner(paths, real, finest)[0] for paths in many]
        found["synth_price"] = [calculate_crps_for_miner(paths, real, finest, intervals) for paths in many]
    return found


def finer(entry: tuple, evaluator: TrackerEvaluator, asset: str) -> float:
    """Its price score with its own integral on a grid that is 32 times as fine and twice as wide."""
    end, answer, steps = entry
    bound, total = CRPS_BOUNDS["t"][asset], 0.0
    for step in steps:
        wide = 2 * bound * max(1.0, np.sqrt(step / CRPS_BOUNDS["base_step"]))
        for number, density in enumerate(answer[step]):
            time = end - step * (len(answer[step]) - 1 - number)
            after, before = (evaluator.tracker.prices.get_closest_price(asset, each)[1] for each in (time, time - step))
            total += crps_integral(density, after - before, -wide, wide, num_points=32 * 1024)
    return total / bound


def main(game: dict) -> None:
    trackers = (GaussianStepTracker, TwoPaced, TooBold)
    print(json.dumps([played(tracker(), game, at) for at in game["rounds"] for tracker in trackers]))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
