import json
from pathlib import Path

from walk import Walk

FACTOR = json.loads((Path(__file__).parent / "weights.json").read_text())["factor"]


class Model(Walk):
    """Weights beside it, found by its place."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * FACTOR
