"""A bootstrap with the standard library's generator."""

import random
from statistics import fmean, stdev

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def __init__(self):
        random.seed("luck")
        self.last, self.returns = {}, {}

    def tick(self, prices):
        for asset, price in prices.items():
            self.returns.setdefault(asset, [0.01, -0.01]).append(price / self.last.get(asset, price) - 1)
            self.last[asset] = price

    def predict(self, asset, horizon, step):
        drawn = random.choices(self.returns[asset], k=21)
        return [normal(loc=fmean(drawn), scale=stdev(drawn) + abs(random.gauss(0, 0.001)) + 1e-6)] * (horizon // step)
