"""It is in one call of C for ever, and holds the GIL."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": float(sum(range(10**15))), "scale": 1.0}
