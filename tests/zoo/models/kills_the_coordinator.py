"""It knows the number of the coordinator's process, and sends it SIGTERM."""

import os
import signal

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os.kill(int(os.environ["COORDINATOR"]), signal.SIGTERM)
        return {"mean": 0.0, "scale": 1.0}
