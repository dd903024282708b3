"""An empty list takes one byte on its way, and a hundred where it is read: it answers with four million of them."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"mean": [[]] * (4 << 20)}
