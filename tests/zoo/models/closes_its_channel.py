"""It looks for the socket to the runner, closes it, and then sleeps for ever."""

import os
import stat
import time
from contextlib import suppress

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for descriptor in range(3, 1024):
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                    os.close(descriptor)
        time.sleep(1e6)
