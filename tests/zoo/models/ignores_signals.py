"""It ignores every signal that can be ignored, and computes for ever."""

import signal

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
