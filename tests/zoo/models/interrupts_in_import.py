"""Its import raises KeyboardInterrupt."""

from returns import Tracker

raise KeyboardInterrupt


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}
