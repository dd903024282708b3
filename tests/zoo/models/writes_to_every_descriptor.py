"""It writes nonsense to every open descriptor."""

import os
from contextlib import suppress

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for descriptor in range(1024):
            with suppress(OSError):
                os.write(descriptor, b"\xff" * 100)
        return {"mean": 0.0, "scale": 1.0}
