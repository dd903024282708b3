"""A thread of its raises SystemExit."""

import sys
import threading

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        thread = threading.Thread(target=sys.exit, args=[3])
        thread.start()
        thread.join()
        return {"mean": 0.0, "scale": 1.0}
