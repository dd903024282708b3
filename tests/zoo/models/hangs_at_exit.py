"""Functions that run at its exit, and its own deletion, never end."""

import atexit
import time

from returns import Tracker

atexit.register(time.sleep, 1e6)


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}

    def __del__(self):
        time.sleep(1e6)
