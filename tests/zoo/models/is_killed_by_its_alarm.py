"""Its own timer's signal ends it."""

import signal
import time

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        time.sleep(1e6)
