"""It ends its process as if all were well."""

import os

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os._exit(0)
