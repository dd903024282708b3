"""A small network, trained a little at every call."""

import torch

from daily_density import TrackerBase, normal


class Model(TrackerBase):
    def __init__(self):
        torch.manual_seed(2)
        torch.set_default_dtype(torch.float64)
        self.network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
        self.last, self.returns = {}, {}

    def tick(self, prices):
        for asset, price in prices.items():
            self.returns.setdefault(asset, []).append(price / self.last.get(asset, price) - 1)
            self.last[asset] = price

    def predict(self, asset, horizon, step):
        places = torch.randn(256, 64)
        optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01)
        optimizer.zero_grad()
        ((self.network(places) - self.returns[asset][-1]) ** 2).mean().backward()
        optimizer.step()
        loc = float(self.network(torch.randn(1, 64)).detach()[0, 0]) * 0.01
        return [normal(loc=loc, scale=0.02)] * (horizon // step)
