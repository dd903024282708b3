"""Boosted trees."""

import numpy as np
from lightgbm import LGBMRegressor

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def __init__(self):
        np.random.seed(9)
        self.last, self.returns = {}, {}

    def tick(self, prices):
        for asset, price in prices.items():
            self.returns.setdefault(asset, list(np.random.normal(scale=0.01, size=80)))
            self.returns[asset].append(price / self.last.get(asset, price) - 1)
            self.last[asset] = price

    def predict(self, asset, horizon, step):
        returns = np.array(self.returns[asset])
        trees = LGBMRegressor(n_estimators=5, verbose=-1).fit(returns[:-1, None], returns[1:])
        return [normal(loc=float(trees.predict(returns[-1:, None])[0]), scale=0.02)] * (horizon // step)
