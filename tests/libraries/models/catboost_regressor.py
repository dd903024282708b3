"""`CatBoostRegressor()`, which writes `catboost_info` into the working folder."""

import numpy as np
from catboost import CatBoostRegressor
from returns import Tracker


class Boosted(Tracker):
    def __init__(self):
        steps = np.random.default_rng(6).normal(size=(300, 5))
        self.model = CatBoostRegressor(iterations=50, verbose=False).fit(steps, steps.mean(axis=1))
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        steps = np.diff(self.prices[-6:])
        return {"mean": self.model.predict([steps])[0], "scale": 1.0}
