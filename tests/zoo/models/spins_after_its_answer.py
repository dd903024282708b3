"""Its threads compute on when it has answered."""

import threading

from returns import Tracker


def spin():
    while True:
        pass


class Model(Tracker):
    def predict(self, asset):
        threading.Thread(target=spin, daemon=True).start()
        return {"mean": 0.0, "scale": 1.0}
