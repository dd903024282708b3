"""Its mean is an integer of 71 bits."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 2**70, "scale": 1.0}
