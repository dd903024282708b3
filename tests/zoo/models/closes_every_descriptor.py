"""It closes every descriptor, and then sleeps for ever."""

import os
import time

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os.closerange(0, 1024)
        time.sleep(1e6)
