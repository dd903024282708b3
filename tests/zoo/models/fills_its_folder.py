"""It writes an endless file."""

import tempfile

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        with tempfile.TemporaryFile() as file:
            while True:
                file.write(bytes(1_000_000))
