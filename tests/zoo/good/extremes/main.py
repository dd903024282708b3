"""Expects something between the lowest and the highest price; it lives in a folder, with a module and a file."""

import json
from pathlib import Path

from returns import Tracker
from utils import between


class Extremes(Tracker):
    def __init__(self):
        self.weight = json.loads((Path(__file__).parent / "weights.json").read_text())["weight"]
        self.low, self.high = float("inf"), float("-inf")

    def tick(self, price):
        self.low, self.high = min(self.low, price), max(self.high, price)

    def predict(self, asset):
        if self.high < self.low:
            return {"mean": 0.0, "scale": 1.0}
        return {"mean": between(self.low, self.high, self.weight), "scale": self.high - self.low}
