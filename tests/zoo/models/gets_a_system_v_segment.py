"""It makes a System V segment, which outlives every process."""

import ctypes
import os

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        libc = ctypes.CDLL(None, use_errno=True)
        segment = libc.shmget(0, 1_000_000, 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return {"mean": float(segment), "scale": 1.0}
