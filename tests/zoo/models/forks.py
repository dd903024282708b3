"""It forks."""

import os

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os.fork()
        return {"mean": 0.0, "scale": 1.0}
