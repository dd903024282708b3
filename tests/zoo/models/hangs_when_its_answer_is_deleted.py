"""What its answer leaves behind takes for ever to be deleted."""

import time

from returns import Tracker


class Sticky:
    def __del__(self):
        time.sleep(1e6)


class Model(Tracker):
    def predict(self, asset):
        sticky = Sticky()  # noqa: F841
        return {"mean": 0.0, "scale": 1.0}
