"""It answers with an object whose plain form is the object again."""

from returns import Tracker


class Mirror:
    def model_dump(self):
        return self


class Model(Tracker):
    def predict(self, asset):
        return Mirror()
