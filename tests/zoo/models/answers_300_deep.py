"""It answers with a list in a list, and so on, three hundred times."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        answer = []
        for _ in range(300):
            answer = [answer]
        return answer
