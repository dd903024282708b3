"""It empties sys.path and forgets every module."""

import sys

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        sys.path.clear()
        sys.meta_path.clear()
        sys.modules.clear()
        return {"mean": 0.0, "scale": 1.0}
