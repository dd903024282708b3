"""It prints 100 MB of errors."""

import os

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for _ in range(100):
            os.write(2, b"x" * 999_999 + b"\n")
        return {"mean": 0.0, "scale": 1.0}
