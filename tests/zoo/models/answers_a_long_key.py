"""A key of its answer has 10 MB, and the value is wrong."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {"k" * 10_000_000: "wrong"}
