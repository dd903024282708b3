from walk import Walk


class Scaled(Walk):
    """Made by a factory, which has its weights."""

    def __init__(self, factor):
        self.factor = factor
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * self.factor


def create_model():
    return Scaled(24)
