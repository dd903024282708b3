"""Expects the last price again."""

from returns import Tracker


class LastPrice(Tracker):
    price = 0.0

    def tick(self, price):
        self.price = price

    def predict(self, asset):
        return {"mean": self.price, "scale": 1.0}
