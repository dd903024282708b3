"""`@njit(cache=True)`, and `parallel=True`."""

import numpy as np
from numba import njit, prange
from returns import Tracker


@njit(cache=True)
def smooth(prices, weight):
    level = prices[0]
    for price in prices:
        level += weight * (price - level)
    return level


@njit(parallel=True)
def spread(prices):
    total = 0.0
    for i in prange(len(prices)):
        total += abs(prices[i] - prices[0])
    return total / len(prices)


class Smooth(Tracker):
    def __init__(self):
        self.prices = [100.0]
        smooth(np.array(self.prices), 0.1), spread(np.array(self.prices))

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        prices = np.array(self.prices)
        return {"mean": smooth(prices, 0.1), "scale": 1.0 + spread(prices)}
