"""It reads the submission of a rival through a link in its own folder."""

import os
import tempfile
from pathlib import Path

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        link = Path(tempfile.mkdtemp(), "link")
        os.symlink(Path(__file__).parent / "extremes", link)
        raise ValueError((link / "weights.json").read_text())
