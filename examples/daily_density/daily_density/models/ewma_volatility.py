"""Exponentially weighted volatility (RiskMetrics, 1996): calm days follow calm days."""

from math import log, sqrt

from daily_density import TrackerBase, normal

DECAY = 0.94


class EwmaVolatility(TrackerBase):
    def __init__(self):
        self.last = {}
        self.variance = {}

    def tick(self, prices):
        for asset, price in prices.items():
            if asset in self.last:
                squared = log(price / self.last[asset]) ** 2
                self.variance[asset] = DECAY * self.variance.get(asset, squared) + (1 - DECAY) * squared
            self.last[asset] = price

    def predict(self, asset, horizon, step):
        scale = max(sqrt(self.variance.get(asset, 0.0004)), 0.002)
        return [normal(loc=0.0, scale=scale)] * (horizon // step)
