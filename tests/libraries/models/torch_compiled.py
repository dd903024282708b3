"""`torch.compile`, which starts compilers."""

import torch
from returns import Tracker


class Compiled(Tracker):
    def __init__(self):
        self.network = torch.compile(torch.nn.Linear(5, 1))
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        with torch.no_grad():
            return {"mean": self.network(torch.tensor(self.prices[-6:]).diff()).item(), "scale": 1.0}
