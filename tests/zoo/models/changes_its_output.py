"""It replaces sys.stdout and sys.stderr by what cannot be written to."""

import sys

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = object()
        return {"mean": 0.0, "scale": 1.0}
