"""It answers with a list in a list, and so on, a hundred thousand times."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        answer = []
        for _ in range(100_000):
            answer = [answer]
        return answer
