import json

from walk import Walk


class Model(Walk):
    """Weights that are read when it is made, from where it works."""

    def __init__(self):
        self.last = 0.0
        with open("weights.json") as file:
            self.factor = json.load(file)["factor"]

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * self.factor
