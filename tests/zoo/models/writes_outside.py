"""It writes beside its submission."""

from pathlib import Path

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        (Path(__file__).parent / "loot.txt").write_text("here I was")
        return {"mean": 0.0, "scale": 1.0}
