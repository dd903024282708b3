"""It kills its parent."""

import os
import signal

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os.kill(os.getppid(), signal.SIGKILL)
        return {"mean": 0.0, "scale": 1.0}
