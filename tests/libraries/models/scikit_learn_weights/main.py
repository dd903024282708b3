"""Weights that `joblib.dump` has written beside it."""

from pathlib import Path

import joblib
import numpy as np
from returns import Tracker


class Boosted(Tracker):
    def __init__(self):
        self.model = joblib.load(Path(__file__).with_name("weights.joblib"))
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        return {"mean": self.prices[-1], "scale": 1.0 + self.model.predict([np.diff(self.prices[-6:])])[0] ** 2}
