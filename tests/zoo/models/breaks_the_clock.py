"""It makes sleeping and the clock do nothing."""

import time

from returns import Tracker

time.sleep = lambda seconds: None
time.monotonic = time.time = time.perf_counter = lambda: 0.0


class Model(Tracker):
    def predict(self, asset):
        time.sleep(1e6)
        return {"mean": 0.0, "scale": 1.0}
