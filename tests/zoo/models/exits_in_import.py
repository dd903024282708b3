"""Its import ends the process."""

import os

from returns import Tracker

os._exit(3)


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}
