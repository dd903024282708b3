"""It opens files until it cannot."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        files = []
        while True:
            files.append(open("/dev/null"))
