from walk import Walk

from .class_ import scaled


class Model(Walk):
    """A folder that is called as a keyword."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return scaled(self.last)
