"""It changes the environment, and tells what it found there."""

import os

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}

    def remark(self):
        found = dict(os.environ)
        os.environ.clear()
        os.environ["PATH"] = "/nowhere"
        return found
