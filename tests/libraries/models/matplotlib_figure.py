"""A picture that `savefig` writes into the temporary folder."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from returns import Tracker


class Figure(Tracker):
    def __init__(self):
        self.prices = [100.0] * 6
        self.place = Path(tempfile.mkdtemp()) / "prices.png"

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        if len(self.prices) % 50 == 0:
            plt.plot(self.prices)
            plt.title(asset)
            plt.savefig(self.place)
            plt.close()
        return {"mean": self.prices[-1], "scale": 1.0 + self.place.exists()}
