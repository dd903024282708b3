"""Expects the last step once more; made by a factory."""

from returns import Tracker


class Trend(Tracker):
    def __init__(self, steepness):
        self.steepness = steepness
        self.last = self.before = 0.0

    def tick(self, price):
        self.before, self.last = self.last, price

    def predict(self, asset):
        return {"mean": self.last + self.steepness * (self.last - self.before), "scale": 1.0}


def create_model():
    return Trend(0.5)
