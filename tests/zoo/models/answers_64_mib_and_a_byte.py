"""It answers with a byte more than can be sent."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return b"x" * (64 * 1024 * 1024 + 1)
