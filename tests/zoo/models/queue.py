"""Its file is called as a module of the standard library."""

import queue
from concurrent.futures import ThreadPoolExecutor  # needs the real queue

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        with ThreadPoolExecutor() as pool:
            scale = pool.submit(float, 1).result()
        return {"mean": float(queue.Queue().qsize()), "scale": scale}
