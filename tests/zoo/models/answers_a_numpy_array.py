"""It answers with an array."""

import numpy as np
from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return np.array([0.0, 1.0])
