"""Its first answer takes two and a half budgets of 1.5 s; it counts its answers."""

import time

from returns import Tracker


class Model(Tracker):
    answers = 0

    def predict(self, asset):
        self.answers += 1
        if self.answers == 1:
            time.sleep(3.75)
        return {"mean": float(self.answers), "scale": 1.0}
