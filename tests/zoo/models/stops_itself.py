"""It sends itself SIGSTOP."""

import os
import signal

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        os.kill(os.getpid(), signal.SIGSTOP)
