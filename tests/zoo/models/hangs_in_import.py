"""Its import never ends."""

import time

from returns import Tracker

time.sleep(1e6)


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}
