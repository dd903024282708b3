"""Its constructor never ends."""

from returns import Tracker


class Model(Tracker):
    def __init__(self):
        while True:
            pass

    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}
