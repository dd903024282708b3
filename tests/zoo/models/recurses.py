"""It calls itself for ever."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return self.predict(asset)
