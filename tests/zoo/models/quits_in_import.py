"""Its import ends the program."""

import sys

from returns import Tracker

sys.exit("nothing to do")


class Model(Tracker):
    def predict(self, asset):
        return {"mean": 0.0, "scale": 1.0}
