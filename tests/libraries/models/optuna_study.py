"""A study of `optuna` in its constructor."""

import optuna
from returns import Tracker

PRICES = [100 + (n * 7919 % 13) / 10 for n in range(60)]


def lost(trial):
    weight, level, total = trial.suggest_float("weight", 0.01, 0.99), PRICES[0], 0.0
    for price in PRICES:
        total += (price - level) ** 2
        level += weight * (price - level)
    return total


class Study(Tracker):
    def __init__(self):
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=11))
        study.optimize(lost, n_trials=15)
        self.weight, self.level = study.best_params["weight"], PRICES[-1]

    def tick(self, price):
        self.level += self.weight * (price - self.level)

    def predict(self, asset):
        return {"mean": self.level, "scale": 1.0}
