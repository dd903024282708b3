"""It answers with 100,000 numbers, each of which is a text."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return {str(number): "no" for number in range(100_000)}
