"""It puts a file in the place of the socket to the runner, and then sleeps for ever."""

import os
import stat
import time
from contextlib import suppress

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3, 1024):
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                    os.dup2(null, descriptor)
        time.sleep(1e6)
