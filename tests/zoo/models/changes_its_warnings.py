"""It makes every warning an error."""

import warnings

from returns import Tracker

warnings.simplefilter("error")


class Model(Tracker):
    def predict(self, asset):
        warnings.simplefilter("error")
        return {"mean": 0.0, "scale": 1.0}
