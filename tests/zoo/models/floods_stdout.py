"""It prints 100 MB."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        for _ in range(100):
            print("x" * 1_000_000)
        return {"mean": 0.0, "scale": 1.0}
