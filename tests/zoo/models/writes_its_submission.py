"""It changes its own code."""

from pathlib import Path

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        Path(__file__).write_text("")
        return {"mean": 0.0, "scale": 1.0}
