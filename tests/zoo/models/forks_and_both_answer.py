"""It forks where it may, and both processes answer."""

import os
import time

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        if os.fork() != 0:
            time.sleep(0.1)
        return {"mean": 0.0, "scale": 1.0}
