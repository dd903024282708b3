"""Faulty on purpose: constant_normal on most days, but now and then it raises."""

from daily_density import TrackerBase, normal


class Moody(TrackerBase):
    def __init__(self):
        self.days = 0

    def tick(self, prices):
        self.days += 1

    def predict(self, asset, horizon, step):
        if self.days % 7 == 0 and asset == "IBM":
            raise RuntimeError(f"day {self.days}: not in the mood for {asset}")
        return [normal(loc=0.0, scale=0.02)] * (horizon // step)
