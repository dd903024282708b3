from scaling import scaled
from walk import Walk


class Model(Walk):
    """It wants a module that is in src/."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return scaled(self.last)
