"""It seeds every global generator at every call, as people do who want to see the same numbers again."""

import random
import sys

import numpy as np

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def tick(self, prices):
        self.seed()

    def predict(self, asset, horizon, step):
        self.seed()
        return [normal(loc=float(np.random.normal(scale=0.001)), scale=0.02)] * (horizon // step)

    def seed(self):
        random.seed(0)
        np.random.seed(0)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(0)
