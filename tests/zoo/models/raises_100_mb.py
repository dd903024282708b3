"""It raises an exception of 100 MB."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        raise ValueError("x" * 100_000_000)
