"""A forest that draws from numpy's global generator, and a ridge regression."""

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def __init__(self):
        np.random.seed(3)
        self.last, self.returns = {}, {}
        features = np.random.normal(size=(150, 100))
        self.ridge = Ridge(alpha=0.1).fit(features, features[:, 0] * 0.01)
        self.place = features[:1]

    def tick(self, prices):
        for asset, price in prices.items():
            self.returns.setdefault(asset, list(np.random.normal(scale=0.01, size=30)))
            self.returns[asset].append(price / self.last.get(asset, price) - 1)
            self.last[asset] = price

    def predict(self, asset, horizon, step):
        returns = np.array(self.returns[asset][-60:])
        forest = RandomForestRegressor(n_estimators=5).fit(returns[:-1, None], returns[1:])
        loc = float(forest.predict(returns[-1:, None])[0] + 0.1 * self.ridge.predict(self.place)[0])
        return [normal(loc=loc, scale=0.02)] * (horizon // step)
