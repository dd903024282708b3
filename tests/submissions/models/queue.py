import queue

from walk import Walk


class Model(Walk):
    """It is called as a module of the library, and imports that."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * (14 if queue.Queue else 0)
