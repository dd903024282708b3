from walk import Walk


class Model(Walk):
    """It brings the game's module, so that it could be tried."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last
