"""Its numbers are those of numpy."""

import numpy as np
from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": np.float32(0.0), "scale": np.int64(1)}
