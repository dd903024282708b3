"""It answers, and its process ends a moment later."""

import os
import threading

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        threading.Timer(0.05, os._exit, [3]).start()
        return {"mean": 0.0, "scale": 1.0}
