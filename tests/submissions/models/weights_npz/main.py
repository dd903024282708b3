from pathlib import Path

import numpy as np
from walk import Walk

WEIGHTS = np.load(Path(__file__).with_name("weights.npz"))["weights"]


class Model(Walk):
    """Weights in numpy's format."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return float(self.last * WEIGHTS.sum())
