"""It lifts the limit of recursion, and calls itself through C for ever."""

import sys

from returns import Tracker


class Deep:
    def __getattr__(self, name):
        return getattr(self, name + "x"[:0])


class Model(Tracker):
    def predict(self, asset):
        sys.setrecursionlimit(10**9)
        return Deep().bottom
