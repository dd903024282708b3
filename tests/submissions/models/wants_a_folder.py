from _tools.scaling import scaled
from walk import Walk


class Model(Walk):
    """A file that wants the folder beside it."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return scaled(self.last)
