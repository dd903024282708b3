"""It starts threads until it cannot."""

import threading

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for _ in range(100_000):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        return {"mean": 0.0, "scale": 1.0}
