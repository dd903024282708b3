"""It reads from address 0."""

import ctypes

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        ctypes.string_at(0)
