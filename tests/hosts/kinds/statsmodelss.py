"""An autoregression by least squares."""

import numpy as np
from statsmodels.regression.linear_model import OLS

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def __init__(self):
        self.last, self.returns = {}, {}

    def tick(self, prices):
        for asset, price in prices.items():
            self.returns.setdefault(asset, [0.01, -0.01, 0.0, 0.02]).append(price / self.last.get(asset, price) - 1)
            self.last[asset] = price

    def predict(self, asset, horizon, step):
        returns = np.array(self.returns[asset])
        fitted = OLS(returns[1:], np.column_stack([np.ones(len(returns) - 1), returns[:-1]])).fit()
        loc = float(fitted.params @ [1.0, returns[-1]])
        return [normal(loc=loc, scale=float(np.sqrt(fitted.scale)) + 1e-6)] * (horizon // step)
