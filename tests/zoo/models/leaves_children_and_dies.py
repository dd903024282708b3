"""Its children ignore signals, go on in sessions of their own, and it is gone."""

import os
import signal
import time

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        if os.fork() == 0:
            os.setsid()
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                time.sleep(1e6)
            os._exit(0)
        os._exit(3)
