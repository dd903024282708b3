"""It lifts the limit of recursion, and answers with a list that is deeper than anyone else can read."""

import sys

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        sys.setrecursionlimit(10_000)
        answer = []
        for _ in range(5000):
            answer = [answer]
        return answer
