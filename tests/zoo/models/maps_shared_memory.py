"""It makes shared memory that would outlive it."""

from multiprocessing import shared_memory

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        shared_memory.SharedMemory(name="crunch_zoo", create=True, size=1_000_000)
        return {"mean": 0.0, "scale": 1.0}
