"""It answers with None."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return None
