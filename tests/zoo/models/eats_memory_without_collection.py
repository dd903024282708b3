"""It turns the garbage collector off, and leaves cycles of 10 MB behind."""

import gc

from returns import Tracker

gc.disable()


class Model(Tracker):
    def predict(self, asset):
        for _ in range(10):
            cycle = [bytearray(10_000_000)]
            cycle.append(cycle)
        return {"mean": 0.0, "scale": 1.0}
