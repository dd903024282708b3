"""The keys of its answer are numbers."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {0: 0.0, 1: 1.0}
