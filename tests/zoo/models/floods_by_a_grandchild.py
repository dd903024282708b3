"""A program that it runs starts another, which prints 100 MB."""

import subprocess
import sys

from returns import Tracker

FLOOD = "for _ in range(100): print('x' * 1_000_000)"


class Model(Tracker):
    def predict(self, asset):
        child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {FLOOD!r}], check=True)"
        subprocess.run([sys.executable, "-c", child], check=True)
        return {"mean": 0.0, "scale": 1.0}
