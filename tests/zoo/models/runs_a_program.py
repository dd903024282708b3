"""It runs a program."""

import subprocess

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        subprocess.run(["true"], check=True)
        return {"mean": 0.0, "scale": 1.0}
