"""A game of thirteen assets, and models that say when they answered: one takes 0.9 of its budget for each."""

from __future__ import annotations

import time

ASSETS = [f"A{n:02}" for n in range(13)]
BUDGET = 0.3


class Assets:
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str) -> float: ...


class Quick(Assets):
    def tick(self, prices):
        pass

    def predict(self, asset):
        return time.time()


class Quicker(Quick):
    pass


class Slow(Quick):
    def predict(self, asset):
        time.sleep(0.9 * BUDGET)
        return time.time()


class Moody(Quick):
    """One bad moment, for all assets, in its second slot; and always for the last asset."""

    def __init__(self):
        self.slots = 0

    def tick(self, prices):
        self.slots += 1

    def predict(self, asset):
        if self.slots == 2 or asset == "A12":
            raise RuntimeError("not now")
        return 1.0
