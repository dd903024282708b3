"""It leaves a thousand files in its working folder, and folders that nobody may enter."""

import os
import tempfile

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        folder = tempfile.mkdtemp()
        for number in range(1000):
            open(os.path.join(folder, str(number)), "w").close()
        os.mkdir(os.path.join(folder, "closed"))
        os.chmod(folder, 0)
        return {"mean": 0.0, "scale": 1.0}
