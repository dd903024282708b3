"""A kernel regression: a system of 120 equations, which BLAS solves otherwise with two threads than with one."""

import numpy as np

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def __init__(self):
        np.random.seed(11)
        self.places = np.random.normal(size=(120, 3))
        self.returns = np.random.normal(scale=0.02, size=120)
        self.last = {}
        self.seen = 0

    def tick(self, prices):
        for asset, price in prices.items():
            self.returns[self.seen % 120] = price / self.last.get(asset, price) - 1
            self.last[asset] = price
            self.seen += 1

    def predict(self, asset, horizon, step):
        jitter = np.random.normal(size=3)
        away = ((self.places[:, None] - self.places[None]) ** 2).sum(axis=-1)
        weights = np.linalg.solve(np.exp(-away / 2) + 0.1 * np.eye(120), self.returns)
        loc = float(np.exp(-((self.places - jitter) ** 2).sum(axis=-1) / 2) @ weights)
        return [normal(loc=loc, scale=float(abs(np.random.normal(0.02, 0.001))))] * (horizon // step)
