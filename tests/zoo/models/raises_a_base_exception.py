"""It raises a BaseException of its own."""

from returns import Tracker


class Doom(BaseException):
    pass


class Model(Tracker):
    def predict(self, asset):
        raise Doom("all is lost")
