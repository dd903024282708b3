"""It raises an exception whose text cannot be had."""

from returns import Tracker


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("I will not tell")


class Model(Tracker):
    def predict(self, asset):
        raise Mute
