"""Every second answer takes one and a half budgets of 1 s; it counts its answers."""

import time

from returns import Tracker


class Model(Tracker):
    answers = 0

    def predict(self, asset):
        self.answers += 1
        if self.answers % 2 == 0:
            time.sleep(1.5)
        return {"mean": float(self.answers), "scale": 1.0}
