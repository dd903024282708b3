from utils import scaled
from walk import Walk


class Model(Walk):
    """Its utils.py has the name of another's."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return scaled(self.last)
