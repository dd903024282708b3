"""It ends its process."""

import os

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os._exit(3)
