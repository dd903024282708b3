"""It raises an exception whose type has a name of 10 MB."""

from returns import Tracker

Long = type("x" * 10_000_000, (Exception,), {})


class Model(Tracker):
    def predict(self, asset):
        raise Long
