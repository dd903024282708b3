"""It asks for ten gigabytes."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": float(len(bytearray(10_000_000_000))), "scale": 1.0}
