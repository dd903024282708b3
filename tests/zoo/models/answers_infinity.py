"""Its scale is infinite."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": float("inf")}
