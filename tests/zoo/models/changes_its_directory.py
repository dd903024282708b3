"""It changes the working directory, and then deletes it."""

import os
import tempfile

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)
        return {"mean": 0.0, "scale": 1.0}
