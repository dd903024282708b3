"""Expects the average of all prices, and answers with numbers of numpy."""

import numpy as np
from returns import Tracker


class Average(Tracker):
    def __init__(self):
        self.prices = []

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        prices = np.array(self.prices or [0.0])
        return {"mean": prices.mean(), "scale": prices.std()}
