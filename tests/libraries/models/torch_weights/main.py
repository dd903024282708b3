"""`load_state_dict(torch.load("weights.pt"))`, and a step of training in each answer."""

from pathlib import Path

import torch
from network import Network
from returns import Tracker


class Neural(Tracker):
    def __init__(self):
        self.network = Network()
        self.network.load_state_dict(torch.load(Path(__file__).with_name("weights.pt")))
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-4)
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        steps = torch.tensor(self.prices[-6:]).diff()
        expected = self.network(steps)[0]
        self.optimizer.zero_grad()
        (expected**2).backward()
        self.optimizer.step()
        return {"mean": expected.item(), "scale": 1.0}
