"""It deletes its working folder."""

import shutil
import tempfile

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
        return {"mean": 0.0, "scale": 1.0}
